"""How long what is left of a plan will take: what ``plan`` says, and what a run begins with.

``resolve`` goes by what a stage took the last time. Most of that is not due when only some photographs or names are new: a
stage of untouched nodes finds its inputs as they were, and what was made of single photographs is taken over.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from statistics import median

from pydantic import JsonValue

from earthsnap_train.pipeline.changes import Changes
from earthsnap_train.pipeline.plan import Plan, Stage, library_version, split_reference
from earthsnap_train.pipeline.resolve import State
from earthsnap_train.pipeline.stages import KINDS
from earthsnap_train.pipeline.store import Artifact, Store

DATA = ("draw", "ingest", "select")  # they run whenever a photograph is new, and may give all others what they had
ROW_BY_ROW = ("records", "embed", "embed_originals")  # what the last artifact has of a photograph is taken from it


def expected(plan: Plan, states: Mapping[str, State], touched: Changes, store: Store) -> dict[str, State]:
    """``states`` with the seconds of what will have nothing to do, or new photographs alone to look at."""
    found = dict(states)
    usual = _seconds_per_image(store) if any(state.status != "cached" for state in states.values()) else {}
    like_before: set[str] = set()  # apart from new photographs
    for stage in plan.stages:
        state = states[stage.name]
        if state.status == "cached" or not _inputs_are(like_before, stage, plan, states):
            continue
        if touched.spares(stage) and (state.status == "depends" or stage.kind in DATA):
            found[stage.name] = replace(state, seconds=0.0)
            like_before.add(stage.name)
        elif stage.kind in ROW_BY_ROW and _made_like(last := store.head(plan.family, stage.name), stage, states):
            assert last is not None
            # The last may itself have looked at few photographs: then most of its kind say more.
            pace_s = max(last.seconds / max(1, last.num_images), usual[stage.kind])
            found[stage.name] = replace(state, seconds=pace_s * max(0, stage.num_images - last.num_images))
            like_before.add(stage.name)
    return found


def _inputs_are(like_before: Collection[str], stage: Stage, plan: Plan, states: Mapping[str, State]) -> bool:
    """Whether all that a stage still waits for will be as before, but for new photographs."""
    waiting = [name for name in map(_stage_of, stage.inputs.values()) if name in states]
    return all(
        states[name].status == "cached" or name in like_before or plan.stage(name).kind in DATA for name in waiting
    )


def _made_like(last: Artifact | None, stage: Stage, states: Mapping[str, State]) -> bool:
    """Whether the last artifact was made in the same way, by the same network."""
    if last is None:
        return False
    kind, inputs = KINDS[stage.kind], last.ingredients["inputs"]
    assert isinstance(inputs, dict)
    trunk = states[_stage_of(stage.inputs["trunk"])].artifact if "trunk" in stage.inputs else None
    return (
        last.ingredients["revision"] == kind.revision
        and last.ingredients["libraries"] == {name: library_version(name) for name in kind.libraries}
        and _without_classes(last.ingredients["settings"]) == _without_classes(stage.settings)
        and (trunk is None or str(inputs.get("trunk")).partition(":")[0] == trunk.digest)
    )


def _seconds_per_image(store: Store) -> Mapping[str, float]:
    """Of each kind: the median over all artifacts."""
    rates: dict[str, list[float]] = defaultdict(list)
    for one in store.all():
        rates[one.kind].append(one.seconds / max(1, one.num_images))
    return {kind: median(seconds) for kind, seconds in rates.items()}


def _without_classes(settings: JsonValue) -> dict[str, JsonValue]:
    assert isinstance(settings, dict)
    return {name: value for name, value in settings.items() if name != "classes"}


def _stage_of(reference: str) -> str:
    return split_reference(reference)[0]
