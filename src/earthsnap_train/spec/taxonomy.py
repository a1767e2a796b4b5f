"""What ``conf/taxonomy/`` declares: how strictly the linter judges, and which names are one species."""

from typing import Literal

from earthsnap_train.spec.model import SpecModel


class TaxonomySpec(SpecModel):
    """``synonyms``: other name -> the name in use. ``strict``: linter warnings stop the run as errors do."""

    synonyms: dict[str, str]
    strict: bool
    on_conflict: Literal["stop", "drop"]
