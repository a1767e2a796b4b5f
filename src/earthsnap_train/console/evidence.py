"""What a person decides on: gates, figures, and the release beside another one. A release may lack any of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.evaluation.compare import compare_releases
from earthsnap_train.evaluation.compare_figures import Comparison
from earthsnap_train.evaluation.figures import FamilyMetrics
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.release.standing import Family, Standing

T = TypeVar("T")
_GATES = TypeAdapter(tuple[GateResult, ...])


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """``others``: releases beside which it can be shown. ``not_compared``: why there is no comparison."""

    gates: tuple[GateResult, ...]
    metrics: FamilyMetrics | None
    comparison: Comparison | None
    not_compared: str
    others: tuple[str, ...]
    notes: str


def gather(registry: Registry, family: Family, found: Standing, *, beside: str) -> Evidence:
    """``beside``: a release's name; else the champion, else what the release was compared with when it was registered."""
    release = found.release
    kept = _kept(release)
    others = tuple(one.release.name for one in family.releases if one.release.name != release.name)
    if beside not in others:
        is_new = family.live is not None and not found.is_live
        beside = family.live.release.name if family.live and is_new else kept.old.release if kept else ""
    comparison, not_compared = None, ""
    if kept is not None and kept.old.release == beside:
        comparison = kept
    elif beside in others:
        try:
            comparison = _compare(registry, release.name, beside)
        except EarthsnapError as error:
            not_compared = f"{release.name} cannot be compared with {beside}: {error.what}."
    return Evidence(
        gates=_read(release.path / "report" / "gates.json", _GATES.validate_json) or (),
        metrics=_read(release.path / "evaluation" / "metrics.json", FamilyMetrics.model_validate_json),
        comparison=comparison,
        not_compared=not_compared,
        others=others,
        notes=_read(release.path / "report" / "NOTES.md", bytes.decode) or "",
    )


def _kept(release: Release) -> Comparison | None:
    """That of its registration, the only one with photographs: they may be gone by now, or changed."""
    return _read(release.path / "report" / "comparison.json", Comparison.model_validate_json)


@lru_cache(maxsize=64)
def _compare(registry: Registry, new: str, old: str) -> Comparison:
    """A name is always the same release, and takes a moment to compare."""
    return compare_releases(registry.get(new), registry.get(old))


def _read(path: Path, parse: Callable[[bytes], T]) -> T | None:
    """None where it is not there, or an older program wrote it."""
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError):
        return None
