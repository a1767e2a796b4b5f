"""From a declaration to a plan that knows what there is: the one way in which ``plan`` and ``train`` come to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from earthsnap_train.pipeline.changes import Changes, changes
from earthsnap_train.pipeline.compile import compile_plan
from earthsnap_train.pipeline.expected import expected
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.resolve import State, choose_base, resolve
from earthsnap_train.pipeline.store import Store
from earthsnap_train.pipeline.survey import Survey, survey
from earthsnap_train.spec.run import RunSpec


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """``places``: where the plan's externals lie on this machine. ``dropped``: species that QA left too few of.

    ``changes``: the nodes that the plan touches; ``states`` count only what is due for them.
    """

    survey: Survey
    plan: Plan
    places: Mapping[str, Path]
    states: Mapping[str, State]
    changes: Changes
    dropped: tuple[str, ...]


def prepare(spec: RunSpec, store: Store) -> Prepared:
    """Raises what ``survey`` and ``compile_plan`` raise. Runs nothing and writes nothing but the cache of file hashes.

    Which species QA leaves too few of is known only once ingest has run; then the plan is made without them.
    """
    first = _prepare(spec, store, ())
    ingest = first.states["ingest"]
    if ingest.artifact is None or spec.dataset.too_few != "drop":
        return first
    dropped = _dropped(first, store.path(ingest.artifact.key))
    return _prepare(spec, store, dropped) if dropped else first


def _prepare(spec: RunSpec, store: Store, dropped: tuple[str, ...]) -> Prepared:
    found = survey(spec, store, without=dropped)
    plan, base = choose_base(compile_plan(spec, found), store)
    places = dict(found.places) | ({"base": base} if base else {})
    states = resolve(plan, store)
    if states["ingest"].status == "will run" and (news := _news(found, plan.family, store)):
        states["ingest"] = replace(states["ingest"], reason=news)
    touched = changes(plan, states, found, store)
    states = expected(plan, states, touched, store)
    return Prepared(survey=found, plan=plan, places=places, states=states, changes=touched, dropped=dropped)


def _news(found: Survey, family: str, store: Store) -> str:
    """What a person changed since the last manifest, where it is about photographs and species; else nothing."""
    last = store.head(family, "ingest")
    facts = store.path(last.key) / "notes" / "facts.parquet" if last else None
    if facts is None or not facts.is_file() or not found.image_ids:
        return ""
    import pyarrow.parquet as pq

    known = set(pq.read_table(facts, columns=["sha256"])["sha256"].to_pylist())
    parts = []
    if new := len(found.image_ids - known):
        parts.append(f"{new:,} new or changed photographs")
    if gone := len(known - found.image_ids):
        parts.append(f"{gone:,} gone")
    if found.decision.appended and not found.decision.is_new:
        group_of = found.decision.grouping.group_of
        groups = dict.fromkeys(group_of[species] for species in found.decision.appended)
        parts.append(f"{len(found.decision.appended)} new species in {', '.join(groups)}")
    return ", ".join(parts)


def _dropped(prepared: Prepared, manifest: Path) -> tuple[str, ...]:
    from earthsnap_train.data.manifest import HEADER_FILE, MANIFEST_FILE, read_header, read_manifest

    expected = {one.species_id for one in prepared.survey.taxonomy.species}
    if read_header(manifest / HEADER_FILE).num_species == len(expected):
        return ()
    return tuple(sorted(expected - {row.species_id for row in read_manifest(manifest / MANIFEST_FILE)}))
