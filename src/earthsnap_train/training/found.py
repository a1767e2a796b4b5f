"""What a search is asked for and what it found, as stage ``tune`` reads and writes it. Whoever only keeps it needs no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.tuning import Sought, Value
from earthsnap_train.spec.written import Written


class MemberSettings(SpecModel):
    """``training``: as declared. ``groups``: whose records and embeddings are this network's. ``lineages``: as of ``train``."""

    training: Written
    classes: list[str]
    groups: list[str]
    lineages: list[list[str | None]] | None = None


class Settings(SpecModel):
    """``members``: the networks that share the settings which are sought."""

    search: Sought
    members: dict[str, MemberSettings]
    backbone: Backbone
    seed: int


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """``value``: of the objective, as far as the trial came. ``curve``: what each member showed on val, by epoch."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None
    curve: list[dict[str, float | str]]
    seconds: float
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trial that has ended."""

    number: int
    values: Mapping[str, Value]
    attempt: Attempt


def declared_of(s: Settings) -> dict[str, Value]:
    """Of the keys that are searched: what ``training`` has there, as far as a trial can come to it."""
    training = next(iter(s.members.values())).training.model_dump()
    found: dict[str, Value] = {}
    for key, dimension in s.search.space.items():
        value = training
        for part in key.split("."):
            value = value[part]
        if dimension.has(value):  # type: ignore[arg-type]
            found[key] = value  # type: ignore[assignment]
    return found


def write_found(
    out: Path, s: Settings, tried: Sequence[Tried], best: Tried, *, importances: Mapping[str, float]
) -> None:
    """``importances``: empty where nobody can say."""
    (out / "best.json").write_text(json.dumps({"settings": best.values}, sort_keys=True, indent=1))
    notes = out / "notes"
    notes.mkdir()
    rows = [
        {"number": one.number, "params": one.values, "value": one.attempt.value, "state": one.attempt.state,
         "epochs": len(one.attempt.curve), "seconds": one.attempt.seconds, "curve": one.attempt.curve,
         "error": one.attempt.error}
        for one in tried
    ]  # fmt: skip
    (notes / "trials.json").write_text(json.dumps(rows))
    about = {
        "objective": s.search.objective,
        "direction": s.search.direction,
        "sampler": s.search.sampler,
        "pruning": s.search.pruning.kind,
        "best": best.number,
        "space": s.search.model_dump(mode="json")["space"],
        "declared": declared_of(s),
        "importances": dict(importances),
    }
    (notes / "search.json").write_text(json.dumps(about, indent=1))
