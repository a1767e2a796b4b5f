"""What a run does with the champion: the new release stands beside it before it is registered, and its gates are judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from earthsnap_train.evaluation.compare import compare, one_line, render_comparison
from earthsnap_train.evaluation.compare_entry import KEPT, Entry
from earthsnap_train.evaluation.compare_figures import Comparison, Side
from earthsnap_train.evaluation.gates import GateResult, judge_champion
from earthsnap_train.evaluation.pictures import photo_reader
from earthsnap_train.pipeline.plan import Plan, split_reference
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.notes import release_notes
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.evaluation import Gate

PAGE = "comparison.html"


@dataclass(frozen=True, kw_only=True)
class BesideChampion:
    """``new``: the release itself. ``comparison`` is None where there is no champion but this; ``why_not`` then says so.

    ``instead``: of whom there is a comparison where there is no champion, in words.
    """

    new: Side
    comparison: Comparison | None
    why_not: str
    gates: tuple[GateResult, ...]
    instead: str = ""

    @property
    def line(self) -> str:
        return f"{self.instead}{one_line(self.comparison)}  {PAGE}" if self.comparison else self.why_not

    @property
    def link(self) -> str:
        return one_line(self.comparison) if self.comparison else ""

    def named(self, release: Release) -> "BesideChampion":
        """With the name that the registry gave it."""
        new = self.new.model_copy(update={"release": release.name})
        comparison = self.comparison.model_copy(update={"new": new}) if self.comparison else None
        return replace(self, new=new, comparison=comparison)

    def pages(self, date: str) -> dict[str, str]:
        """What a run writes into its folder and beside its release: file name -> text."""
        notes = {"NOTES.md": release_notes(self.new, self.comparison, date=date)}
        if self.comparison is None:
            return notes
        page = render_comparison(self.comparison, gates=self.gates, date=date)
        return {"comparison.json": self.comparison.model_dump_json(indent=1), PAGE: page, **notes}

    def summary(self) -> dict[str, object]:
        return self.comparison.summary() if self.comparison else {"release": None, "not_judged": self.why_not}


def beside_champion(
    plan: Plan,
    folders: Mapping[str, Path],
    places: Mapping[str, Path],
    registry: Registry,
    digest: str,
    gates: Mapping[str, Gate],
    *,
    base: str | None = None,
) -> BesideChampion:
    """``folders``: stage -> its artifact. ``places``: where the plan's externals lie. ``digest``: of the new release.

    ``base``: the release that it started from, which stands in where there is no champion.
    """
    new = Entry.of_artifacts(folders["bundle"], folders["evaluate/family"])
    number = Deployments(registry.ledger).champion(plan.family)
    if number is None and base is None:
        return BesideChampion(new=new.side, comparison=None, why_not="none yet: nothing to compare with", gates=())
    champion = registry.get(f"{plan.family}-{number}" if number is not None else str(base))
    if champion.digest == digest:
        return BesideChampion(new=new.side, comparison=None, why_not=f"{champion.name} is this very release", gates=())
    stage, inside = split_reference(plan.stage("report").sources["photographs"])
    photographs = places[stage[1:]] if stage.startswith("@") else folders[stage] / inside
    comparison = compare(new, Entry.of_release(champion), read_photo=photo_reader(folders["ingest"], photographs))
    return BesideChampion(
        new=new.side,
        comparison=comparison,
        why_not="",
        gates=judge_champion(comparison, gates),
        instead="none yet; its base is " if number is None else "",
    )


def attach_evaluation(registry: Registry, release: Release, evaluated: Path) -> None:
    """What a comparison with this release will need, without the store."""
    for written, kept in KEPT.items():
        registry.attach(release, f"evaluation/{kept}", (evaluated / written).read_bytes())
