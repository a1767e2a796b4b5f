"""What ``conf/grouping/`` declares: which species share a child."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel


class ByRank(SpecModel):
    """Groups are the taxa of one rank; those under ``min_species`` merge, those over ``max_species`` split one rank lower."""

    kind: Literal["by_rank"]
    rank: str
    min_species: Annotated[int, Field(ge=1)]
    max_species: Annotated[int, Field(ge=2)]


class Manual(SpecModel):
    """Group name -> its species ids, written by hand."""

    kind: Literal["manual"]
    groups: dict[str, list[str]]


class FromFile(SpecModel):
    """A YAML file of the same shape as ``Manual.groups``, written by a person or by an advisor."""

    kind: Literal["file"]
    file: str


GroupingSpec = Annotated[ByRank | Manual | FromFile, Field(discriminator="kind")]
