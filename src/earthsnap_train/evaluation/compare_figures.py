"""What is better or worse than in another release, as it is written down in ``comparison.json``; without numpy."""

from typing import Literal

from earthsnap_train.evaluation.figures import Estimate, Measured, Name
from earthsnap_train.spec.architecture import ArchitectureKind

Verdict = Literal["worse", "better", "unclear", "same"]
"""``unclear``: some photographs differ, and chance explains it. ``same``: none differs."""

FIGURES = ("top1", "top5", "macro_recall", "ece")


class Difference(Measured):
    """``minus``: new minus old on the same photographs, with a paired interval."""

    new: float
    old: float
    minus: Estimate

    @property
    def change(self) -> str:
        """``-0.32, 95 % -0.51 to -0.14``"""
        return f"{self.minus.value:+.2g}, 95 % {self.minus.low:+.2g} to {self.minus.high:+.2g}"


class Pairs(Measured):
    """The photographs by who named them right."""

    both: int
    only_new: int
    only_old: int
    neither: int

    @property
    def num_images(self) -> int:
        return self.both + self.only_new + self.only_old + self.neither


class SpeciesPair(Measured):
    """One species that both know. ``group``: the new release's. ``p_value``: see ``compare_chance``."""

    name: Name
    group: str
    num_plants: int
    pairs: Pairs
    recall: Difference
    p_value: float
    verdict: Verdict

    @property
    def in_words(self) -> str:
        """``rosa-canina: recall 0.93 -> 0.61 on 28 photographs (-0.32, 95 % -0.51 to -0.14)``"""
        shares = f"{self.recall.old:.2f} -> {self.recall.new:.2f}"
        photographs = f"{self.pairs.num_images} photograph{'' if self.pairs.num_images == 1 else 's'}"
        return f"{self.name.species_id}: recall {shares} on {photographs} ({self.recall.change})"


class LostPhotograph(Measured):
    """The old release named it right, the new one names it ``said``, and is ``confidence`` sure of that.

    ``portrait``: what the species looks like that it was taken for.
    """

    image_id: str
    uri: str
    picture: str | None
    truth: Name
    said: Name | None
    confidence: float
    portrait: str | None


class Judged(Measured):
    """The photographs that both were judged on, by the labels that the new release was judged by.

    ``num_only_new``, ``num_only_old``: photographs that only one of them was judged on. ``num_untold``: those of species
    that took in photographs of one that is gone, and nothing says what that has become. ``num_relabelled``: those whose
    species was corrected in between. ``num_plants``: clusters, the independent pieces of evidence. ``num_tellable``:
    species whose photographs differ often enough that chance could be ruled out at all. ``species``: worst first.
    """

    num_only_new: int
    num_only_old: int
    num_untold: int = 0
    num_relabelled: int
    num_plants: int
    num_tellable: int
    pairs: Pairs
    top1: Difference
    top5: Difference
    macro_recall: Difference
    ece: Difference
    species: tuple[SpeciesPair, ...]
    lost: tuple[LostPhotograph, ...]

    def of(self, verdict: Verdict) -> tuple[SpeciesPair, ...]:
        """Worst first, or best first for what is better."""
        found = tuple(one for one in self.species if one.verdict == verdict)
        return found[::-1] if verdict == "better" else found


class Side(Measured):
    """One of the two. ``top1`` and ``num_images``: on all that it was judged on itself.

    ``taught_on_test``: its weights learnt from the test photographs, and networks taught without them stand in for it.
    """

    release: str
    architecture: ArchitectureKind
    num_species: int
    num_groups: int
    num_images: int | None
    top1: Estimate | None
    size_bytes: int
    multiply_adds: float | None
    latency_ms: float | None
    taught_on_test: bool


class Renamed(Measured):
    """``was``: the scientific name in the old release."""

    name: Name
    was: str


class Regrouped(Measured):
    name: Name
    was: str
    now: str


class Comparison(Measured):
    """``judged`` is None where no photograph was judged on by both; ``not_judged`` then says why."""

    format: Literal[1] = 1
    new: Side
    old: Side
    added: tuple[Name, ...]
    removed: tuple[Name, ...]
    renamed: tuple[Renamed, ...]
    regrouped: tuple[Regrouped, ...]
    judged: Judged | None
    not_judged: str

    def figures(self) -> dict[str, float]:
        """The numbers by name, as in summary.json and as gates name them below ``champion``.

        ``top1`` and its like are differences, new minus old. ``worst_species``: the recall that the hardest hit of the
        species lost for which chance is ruled out, as a negative number; 0 without any.
        """
        numbers: dict[str, float] = {}
        if self.judged is not None:
            for name in FIGURES:
                minus: Estimate = getattr(self.judged, name).minus
                numbers |= {name: minus.value, f"{name}_low": minus.low, f"{name}_high": minus.high}
            worse = [one.recall.minus.value for one in self.judged.of("worse")]
            numbers |= {
                "worst_species": min(worse, default=0.0),
                "num_worse": len(worse),
                "num_better": len(self.judged.of("better")),
            }
        numbers["size_ratio"] = self.new.size_bytes / self.old.size_bytes
        if self.new.multiply_adds and self.old.multiply_adds:
            numbers["multiply_adds_ratio"] = self.new.multiply_adds / self.old.multiply_adds
        return numbers

    @staticmethod
    def figure_names() -> tuple[str, ...]:
        """The keys that ``figures`` can have."""
        shares = [f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")]
        return (*shares, "worst_species", "num_worse", "num_better", "size_ratio", "multiply_adds_ratio")

    def summary(self) -> dict[str, object]:
        """The whole in short, as plain JSON; species by id."""
        judged = self.judged
        return {
            "release": self.old.release,
            "num_images": judged.pairs.num_images if judged else 0,
            "not_judged": self.not_judged,
            **self.figures(),
            "worse": [one.name.species_id for one in judged.of("worse")] if judged else [],
            "better": [one.name.species_id for one in judged.of("better")] if judged else [],
            "added": [name.species_id for name in self.added],
            "removed": [name.species_id for name in self.removed],
            "renamed": [one.name.species_id for one in self.renamed],
            "regrouped": [one.name.species_id for one in self.regrouped],
        }
