"""What advice consists of, as it is written down; without numpy and torch, so that a page is made of it anywhere."""

from earthsnap_train.evaluation.figures import Estimate, Measured, Name

WIDEST = 0.3  # of the interval of a recall that counts as known


class GroupingFigures(Measured):
    """A proposed grouping and what a family made with it would be worth, judged on photographs that no head had seen.

    ``minus_flat``: paired with one flat head on the same photographs. ``routing``: the right group comes first.
    ``ceiling``: top-1 if it always did. ``multiply_adds``: of the heads, for one photograph. ``child_share``: of all
    species, those that a photograph's child must tell apart; as large is the share of photographs from which a child is
    taught again when one of its species changes. ``stability``: adjusted Rand index beside the same proposal made from
    resampled photographs; 1 where photographs have no say. ``is_declared``: what the declaration and its lock say.
    ``rank``: whose taxa the groups are; by it later species find their group by themselves. None where photographs decide.
    """

    name: str
    made_by: str
    rank: str | None
    groups: dict[str, tuple[str, ...]]
    is_declared: bool
    is_best: bool = False
    top1: Estimate
    minus_flat: Estimate
    routing: Estimate
    ceiling: Estimate
    multiply_adds: int
    child_share: float
    stability: float

    @property
    def num_groups(self) -> int:
        return len(self.groups)

    @property
    def largest(self) -> int:
        return max(map(len, self.groups.values()))


class Suspect(Measured):
    """A photograph whose label is doubted. ``margin``: P(as labelled) - P(likeliest other), from -1 (surely wrong) to 1.

    ``picture``, ``portrait``: of the photograph, and of the suggested species as it looks at its clearest.
    """

    image_id: str
    uri: str
    labelled: Name
    suggested: Name
    confidence: float
    margin: float
    picture: str | None = None
    portrait: str | None = None


class SpeciesFigures(Measured):
    """``num_clusters``: photographs that show different plants, as far as is known. ``num_wanted``: photographs that would
    bring the interval of its recall to the width at which a species counts as known; None where it is. ``clearest``: uri
    of the photograph that is most surely this species.
    """

    name: Name
    num_images: int
    num_clusters: int
    recall: Estimate
    num_wanted: int | None
    clearest: str


class PairFigures(Measured):
    """``confusion``: mean of P(other) over photographs of both. ``told_apart``: mean recall of a head taught these two alone;
    chance is 0.5. ``is_inseparable``: its interval reaches chance."""

    first: Name
    second: Name
    confusion: float
    told_apart: Estimate
    is_inseparable: bool
    first_portrait: str | None = None
    second_portrait: str | None = None


class Advice(Measured):
    """``notes``: what could not be proposed, and why. ``suspects``: the most doubtful first. ``species``: the least known
    first. ``flat``: top-1 of one flat head; ``flat_multiply_adds``: of that head, for one photograph.
    """

    family: str
    num_images: int
    num_species: int
    num_folds: int
    flat: Estimate
    flat_multiply_adds: int
    groupings: tuple[GroupingFigures, ...]
    notes: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    species: tuple[SpeciesFigures, ...]
    pairs: tuple[PairFigures, ...]

    @property
    def best(self) -> GroupingFigures:
        return next(one for one in self.groupings if one.is_best)

    @property
    def scarce(self) -> tuple[SpeciesFigures, ...]:
        return tuple(one for one in self.species if one.num_wanted is not None)
