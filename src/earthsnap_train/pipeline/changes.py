"""Which nodes of a family a plan touches, in words: by what their species and photographs were when they were last taught."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import JsonValue

from earthsnap_train.data.manifest import MANIFEST_FILE, QUARANTINE_FILE, read_quarantine
from earthsnap_train.pipeline.plan import Plan, Stage, library_version
from earthsnap_train.pipeline.resolve import MOST_DIFFERENCES, State, differences
from earthsnap_train.pipeline.stages import KINDS
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.pipeline.survey import Survey
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.tree import Species, Taxonomy

BEFORE_JUDGING = (
    "select", "records", "trunk", "embed", "embed_originals", "tune", "train", "export", "check_parent", "heads",
)  # fmt: skip
HEADS, CHECK, TAUGHT = "heads", "check/parent", "train/trunk"
Shown = Mapping[str, frozenset[str]]
"""Species -> image ids of its photographs."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """``touched``: node -> why it is taught again, or anew. ``names``: species of which only names or ranks differ."""

    touched: Mapping[str, str]
    untouched: tuple[str, ...]
    names: tuple[str, ...]

    def spares(self, stage: Stage) -> bool:
        """Whether it works for nodes alone that are left as they are, and so will have nothing to do."""
        if not self.touched:
            return stage.kind in BEFORE_JUDGING
        own = stage.node if stage.kind not in ("records", "embed") else f"child/{stage.name.rpartition('/')[2]}"
        return own in self.untouched

    def lines(self) -> Iterator[str]:
        yield from (f"{node}: {why}" for node, why in self.touched.items())
        if self.untouched:
            yield f"untouched: {_counted(self.untouched, 'node')}"
        yield from (f"names: {one}" for one in self.names)

    def as_json(self) -> dict[str, object]:
        return {"touched": dict(self.touched), "untouched": list(self.untouched), "names": list(self.names)}


def changes(plan: Plan, states: Mapping[str, State], found: Survey, store: Store) -> Changes:
    """What is known now: photographs that are new may still be set aside by the checks, and others for their sake.

    Where a source's photographs are not here yet (a flora to be drawn, a bucket), species alone are compared.
    """
    past = _Past(plan, store)
    now = _shown(states["ingest"], found, past, store)
    why = {node: _why(node, plan, states, past, now) for node in plan.nodes}
    if any(why.values()) and any(stage.name == TAUGHT for stage in plan.stages):
        why = {node: words or "the trunk is taught again" for node, words in why.items()}
    why |= {node: "gone, for it has nothing left to tell apart" for node in past.nodes if node not in plan.nodes}
    return Changes(
        touched={node: words for node, words in why.items() if words},
        untouched=tuple(node for node, words in why.items() if not words),
        names=tuple(_renamed(past.taxonomy, found.taxonomy)),
    )


class _Past:
    """What this family's stages were made of the last time that they ran."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store

    def of(self, stage: str) -> Artifact | None:
        return self._store.head(self._plan.family, stage)

    @cached_property
    def nodes(self) -> Sequence[str]:
        """Those of the last family."""
        bundle = self.of("bundle")
        settings = bundle.ingredients["settings"] if bundle else None
        family = settings.get("family") if isinstance(settings, dict) else None
        nodes = family.get("nodes") if isinstance(family, dict) else None
        return [str(one) for one in nodes] if isinstance(nodes, list) else []

    @cached_property
    def manifest(self) -> Path | None:
        """None too where a bucket has it and this machine has not."""
        folder = self._store.path(last.key) if (last := self.of("ingest")) else None
        return folder if folder and (folder / MANIFEST_FILE).is_file() else None

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        return Taxonomy.read(self.manifest / "taxonomy.parquet") if self.manifest else None

    @cached_property
    def set_aside(self) -> frozenset[str]:
        """Photographs that the last manifest left out for the sake of its checks, not of a person's review."""
        facts = self.manifest / "notes" / "facts.parquet" if self.manifest else None
        if facts is None or self.manifest is None or not facts.is_file():
            return frozenset()
        aside = read_quarantine(self.manifest / QUARANTINE_FILE)
        by_review = {row.path for row in aside if row.code == "review_rejected"}
        by_review -= {row.path for row in aside if row.code != "review_rejected"}
        looked_at = pq.read_table(facts, columns=["path", "sha256"]).to_pylist()
        listed = {i for ids in (_by_species(self.manifest / MANIFEST_FILE) or {}).values() for i in ids}
        return frozenset(row["sha256"] for row in looked_at if row["path"] not in by_review) - listed

    @cached_property
    def _selected(self) -> Mapping[str, Path]:
        """Digest -> the folder, of all lists of examples that there are."""
        return {one.digest: self._store.path(one.key) for one in self._store.all() if one.kind == "select"}

    def examples(self, digest: JsonValue) -> Shown | None:
        folder = self._selected.get(str(digest))
        return _by_species(folder / "examples.parquet") if folder else None


def _by_species(table: Path) -> Shown | None:
    """None where a bucket has it and this machine has not."""
    if not table.is_file():
        return None
    columns = pq.read_table(table, columns=["species_id", "image_id"])
    found: dict[str, set[str]] = defaultdict(set)
    for species, image_id in zip(columns["species_id"].to_pylist(), columns["image_id"].to_pylist(), strict=True):
        found[species].add(image_id)
    return {species: frozenset(ids) for species, ids in found.items()}


def _shown(ingest: State, found: Survey, past: _Past, store: Store) -> Shown | None:
    """The photographs of each species now; None where that is not known."""
    if ingest.artifact is not None:
        return _by_species(store.path(ingest.artifact.key) / MANIFEST_FILE)
    if not found.image_ids:
        return None
    return {species: ids - (past.set_aside - found.kept) for species, ids in found.image_ids_of.items()}


# ---- one node


def _why(node: str, plan: Plan, states: Mapping[str, State], past: _Past, now: Shown | None) -> str:
    """Why it is taught again; empty where it is not, as far as is known."""
    name = HEADS if any(stage.name == HEADS for stage in plan.stages) else f"train/{node}"
    stage, state = plan.stage(name), states[name]
    if state.status == "cached":
        return ""
    last = past.of(name)
    if last is None:
        return "taught for the first time"
    trunk = stage.inputs.get("trunk")
    words = ["the trunk changes"] if trunk and states[trunk].status == "will run" else []
    words += _of_settings(node, stage, last)
    was, is_now = _classes(node, last.ingredients["settings"]), _classes(node, stage.settings)
    if not was:
        words.append(f"a new group of {len(is_now)} species ({_few(is_now)})")
    else:
        words += _of_classes(was, is_now)
        seen = _examples(node, last, past)
        if seen is not None and now is not None:
            words += _of_photographs(seen, {species: now.get(species, frozenset()) for species in is_now})
    if node == "parent" and words and (check := next((s for s in plan.stages if s.name == CHECK), None)):
        share = check.settings["min_routing"]
        assert isinstance(share, float)
        words.append(f"the base's is kept if it routes {100 * share:g} % of the new photographs")
    return ", ".join(words)


def _of_settings(node: str, stage: Stage, last: Artifact) -> Iterator[str]:
    """What else than species differs in how it is taught."""
    ignored = {"classes", "groups"}
    if stage.kind == HEADS and node != "parent":  # how a family routes matters to the parent alone
        ignored |= {"parent", "routing"}
    was = last.ingredients["settings"]
    assert isinstance(was, dict)
    kind = KINDS[stage.kind]
    libraries: dict[str, JsonValue] = {name: library_version(name) for name in kind.libraries}
    yield from differences(
        {
            **last.ingredients,
            "settings": {name: one for name, one in was.items() if name not in ignored},
            "inputs": None,
        },
        {
            "revision": kind.revision,
            "libraries": libraries,
            "settings": {name: one for name, one in stage.settings.items() if name not in ignored},
        },
    )


def _classes(node: str, settings: JsonValue) -> Sequence[str]:
    """The node's species in the settings of the stage that teaches it; none where it was not taught."""
    assert isinstance(settings, dict)
    groups = settings.get("groups")
    if not isinstance(groups, dict):
        return [str(one) for one in settings["classes"]]  # type: ignore[union-attr]
    chosen = [groups.get(node.removeprefix("child/"), [])] if node.startswith("child/") else groups.values()
    return [str(one) for members in chosen for one in members]  # type: ignore[union-attr]


def _examples(node: str, last: Artifact, past: _Past) -> Shown | None:
    """What it was last taught and judged on; None where the list is no longer there."""
    inputs = last.ingredients["inputs"]
    assert isinstance(inputs, dict)
    group = node.removeprefix("child/") if node.startswith("child/") else None
    wanted = [
        digest
        for name, digest in inputs.items()
        if name == "examples" or (name.startswith("examples/") and group in (None, name.removeprefix("examples/")))
    ]
    found = [past.examples(digest) for digest in wanted]
    return None if None in found else {species: ids for one in found if one for species, ids in one.items()}


def _of_classes(was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    for what, names in (("new", [s for s in now if s not in was]), ("gone", [s for s in was if s not in now])):
        if names:
            yield f"{len(names)} {what} species ({_few(names)})"
    if set(was) == set(now) and list(was) != list(now):
        yield "its species in another sequence"


def _of_photographs(was: Shown, now: Shown) -> Iterator[str]:
    before, after = ({i: species for species, ids in of.items() for i in ids} for of in (was, now))
    both = before.keys() & after.keys()
    counts = {
        "new": len(after.keys() - before.keys()),
        "gone": len(before.keys() - after.keys()),
        "relabelled": sum(before[i] != after[i] for i in both),
    }
    for what, count in counts.items():
        if count:
            yield f"{count:,} {what} photograph{'' if count == 1 else 's'}"


# ---- names


def _renamed(was: Taxonomy | None, now: Taxonomy) -> Iterator[str]:
    for one in now.species:
        before = was.by_id.get(one.species_id) if was else None
        if before is not None and before != one:
            old, new = _difference(before, one)
            species = "" if slug(old) == one.species_id else f"{one.species_id}, "
            yield f"{species}{old} is now {new}"


def _difference(was: Species, now: Species) -> tuple[str, str]:
    """What it was called, and what it is called now."""
    if was.scientific_name != now.scientific_name:
        return was.scientific_name, now.scientific_name
    if was.common_name != now.common_name:
        return was.common_name or "without a common name", now.common_name or "without one"
    rank = next(rank for rank in dict(was.ranks) | dict(now.ranks) if was.taxon(rank) != now.taxon(rank))
    return f"{rank} {was.taxon(rank) or 'unknown'}", now.taxon(rank) or "unknown"


def _counted(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_DIFFERENCES]) + (", ..." if len(names) > MOST_DIFFERENCES else "")
