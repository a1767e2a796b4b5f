"""What ``conf/taxonomy/`` declares: how strictly the linter judges, and which names are one species."""

from typing import Literal

from earthsnap_train.spec.model import SpecModel


class TaxonomySpec(SpecModel):
    """``synonyms``: other name -> the name in use. ``strict``: linter warnings stop the run as errors do.

    ``on_conflict``: whether a species or taxon under two parents stops the run, or those of its photographs that
    contradict the most are dropped.
    """

    synonyms: dict[str, str]
    strict: bool
    on_conflict: Literal["stop", "drop"]
