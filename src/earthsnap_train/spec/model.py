"""The one way in which every part of a declaration is modelled: frozen, and closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class SpecModel(BaseModel):
    """A part of a declaration. Defaults live in ``conf/`` alone, so every field is required."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
