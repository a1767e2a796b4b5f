"""What of a plan is there already, what will run, and why."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from earthsnap_train.pipeline.plan import Plan, Stage, digest_of, ingredients, split_reference
from earthsnap_train.pipeline.stages import KINDS
from earthsnap_train.pipeline.store import Artifact, Store

MOST_DIFFERENCES = 3


@dataclass(frozen=True, kw_only=True)
class State:
    """Of one stage. ``key`` is None while an input's content is unknown. ``seconds``: spent, or an estimate; None unknown."""

    status: Literal["cached", "will run", "depends"]
    reason: str
    key: str | None = None
    artifact: Artifact | None = None
    seconds: float | None = None

    @property
    def seconds_left(self) -> float | None:
        return 0.0 if self.status == "cached" else self.seconds


def resolve(plan: Plan, store: Store) -> dict[str, State]:
    """The state of every stage, in the plan's order."""
    estimate = _Estimates(store, plan.family)
    digests = {f"@{name}": digest for name, digest in plan.externals.items()}
    states: dict[str, State] = {}
    for stage in plan.stages:
        waiting = [name for name in _stages_before(stage) if states[name].status != "cached"]
        if any(split_reference(ref)[0] in waiting for ref in stage.inputs.values()):
            states[stage.name] = State(status="depends", reason=f"depends on {waiting[0]}", seconds=estimate(stage))
            continue
        made_of = stage_ingredients(stage, digests)
        key = key_of(made_of)
        artifact = store.find(key)
        if artifact is not None:
            digests[stage.name] = artifact.digest
            states[stage.name] = State(status="cached", reason="", key=key, artifact=artifact, seconds=artifact.seconds)
        else:
            reason = explain(made_of, store.head(plan.family, stage.name))
            states[stage.name] = State(status="will run", reason=reason, key=key, seconds=estimate(stage))
    return states


def stage_ingredients(stage: Stage, digests: Mapping[str, str]) -> dict[str, JsonValue]:
    kind = KINDS[stage.kind]
    return ingredients(stage, revision=kind.revision, libraries=kind.libraries, digests=digests)


def key_of(made_of: Mapping[str, JsonValue]) -> str:
    """40 hexadecimal digits of the digest: short enough to read, too many to collide."""
    return digest_of(made_of)[:40]


def _stages_before(stage: Stage) -> Iterator[str]:
    for _, reference in stage.references():
        name = split_reference(reference)[0]
        if not name.startswith("@"):
            yield name


def choose_base(plan: Plan, store: Store) -> tuple[Plan, Path | None]:
    """Gives the plan its external ``base``: the last manifest, whose photographs keep their split.

    A manifest that this very declaration and these very files made keeps the base that it had, so that running again
    changes nothing. Other split settings begin anew.
    """
    ingest = plan.stage("ingest")
    last = store.head(plan.family, "ingest")
    if last is None or not isinstance(last.ingredients.get("settings"), dict):
        return plan, None
    if last.ingredients["settings"]["split"] != ingest.settings["split"]:  # type: ignore[index, call-overload]
        return plan, None
    digests = {f"@{name}": digest for name, digest in plan.externals.items()}
    draw = next((s for s in plan.stages if s.kind == "draw"), None)
    if draw is not None:
        drawn = store.find(key_of(stage_ingredients(draw, digests)))
        digests["draw"] = drawn.digest if drawn else "not drawn yet"
    inputs = last.ingredients["inputs"]
    earlier = inputs.get("base") if isinstance(inputs, dict) else None
    now = stage_ingredients(ingest, digests)
    if {**now, "inputs": {**now["inputs"], **({"base": earlier} if earlier else {})}} == last.ingredients:  # type: ignore[dict-item]
        base = next((a for a in store.all() if a.kind == "ingest" and a.digest == earlier), None) if earlier else None
        if earlier and base is None:
            return plan, None
    else:
        base = last
    if base is None:
        return plan, None
    with_base = ingest.model_copy(update={"inputs": ingest.inputs | {"base": "@base"}})
    stages = tuple(with_base if stage is ingest else stage for stage in plan.stages)
    externals = plan.externals | {"base": base.digest}
    return plan.model_copy(update={"stages": stages, "externals": externals}), store.path(base.key)


# ---- reasons


def explain(made_of: Mapping[str, JsonValue], last: Artifact | None) -> str:
    """Why a stage has to run, by what differs from the last time."""
    if last is None:
        return "first run"
    found = list(differences(last.ingredients, dict(made_of)))
    if not found:
        return "its artifact is gone" if made_of == last.ingredients else "its settings are written in another form"
    shown = "; ".join(found[:MOST_DIFFERENCES])
    return shown if len(found) <= MOST_DIFFERENCES else f"{shown}; and {len(found) - MOST_DIFFERENCES} more"


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> Iterator[str]:
    """Of what two stages were made of, in words: ``training.lr 0.01 -> 0.003``."""
    if old.get("revision") != new.get("revision"):
        yield f"the stage's code changed (revision {old.get('revision')} -> {new.get('revision')})"
    yield from _changed(old.get("libraries"), new.get("libraries"), ())
    yield from _changed(old.get("settings"), new.get("settings"), ())
    was, now = old.get("inputs"), new.get("inputs")
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) != now.get(name):
                yield (
                    f"{name} changed"
                    if name in was and name in now
                    else f"{name} is {'new' if name in now else 'gone'}"
                )


def _changed(old: JsonValue, new: JsonValue, path: tuple[str, ...]) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        if path and path[-1] in ("class_of", "group_of"):  # classes says it already
            return
        for name in sorted(old.keys() | new.keys()):
            yield from _changed(old.get(name), new.get(name), (*path, name))
    elif isinstance(old, list) and isinstance(new, list):
        added = [str(one) for one in new if one not in old]
        gone = [str(one) for one in old if one not in new]
        if added:
            yield f"{_counted(added, 'new', path)}"
        if gone:
            yield f"{_counted(gone, 'gone', path)}"
        if not added and not gone:
            yield f"{'.'.join(path)} in another sequence"
    else:
        yield f"{'.'.join(path)} {_short(old)} -> {_short(new)}"


def _counted(names: list[str], what: str, path: tuple[str, ...]) -> str:
    noun = "species" if path[-1] in ("classes", "species") else ".".join(path)
    shown = ", ".join(names[:MOST_DIFFERENCES]) + (", ..." if len(names) > MOST_DIFFERENCES else "")
    return f"{len(names)} {what} {noun} ({shown})"


def _short(value: JsonValue) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


# ---- estimates


class _Estimates:
    """Seconds that a stage will take, by what it or its kind took a photograph before; None where nothing is known."""

    def __init__(self, store: Store, family: str) -> None:
        self._store = store
        self._family = family
        self._rates: dict[str, list[float]] | None = None

    def __call__(self, stage: Stage) -> float | None:
        last = self._store.head(self._family, stage.name)
        if last is not None:
            grown = stage.num_images / last.num_images if last.num_images and stage.num_images else 1.0
            return last.seconds * grown
        # A search that never ran teaches as often as it says, if it ends nothing early.
        rates = self._by_kind().get(stage.kind) or (stage.kind == "tune" and self._by_kind().get("train"))
        return statistics.median(rates) * max(1, stage.num_images) if rates else None

    def _by_kind(self) -> dict[str, list[float]]:
        if self._rates is None:
            self._rates = defaultdict(list)
            for artifact in self._store.all():
                self._rates[artifact.kind].append(artifact.seconds / max(1, artifact.num_images))
        return self._rates
