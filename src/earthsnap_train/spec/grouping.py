"""What ``conf/grouping/`` declares: which species share a child."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from earthsnap_train.spec.model import SpecModel


class ByRank(SpecModel):
    """Groups are the taxa of one rank; below ``min_species`` they merge, above ``max_species`` split one rank lower.

    ``rank``: ``null`` takes the highest rank that the taxonomy has.
    """

    kind: Literal["by_rank"]
    rank: str | None
    min_species: Annotated[int, Field(ge=1)]
    max_species: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _room_between(self) -> Self:
        if self.min_species > self.max_species:
            raise ValueError(f"min_species ({self.min_species}) is more than max_species ({self.max_species})")
        return self


class Manual(SpecModel):
    """Group name -> its species ids, written by hand."""

    kind: Literal["manual"]
    groups: dict[str, list[str]]


class FromFile(SpecModel):
    """A YAML file of the same shape as ``Manual.groups``, written by a person or by an advisor."""

    kind: Literal["file"]
    file: str


GroupingSpec = Annotated[ByRank | Manual | FromFile, Field(discriminator="kind")]
