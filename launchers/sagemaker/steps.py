"""A plan as pipelines of jobs: which stages one container runs, and what it reads from which others.

``<family>-data`` makes what every node learns from; ``<family>-tune-<name>`` is a search that several nodes share, or that
the service's own tuning makes; there is one ``<family>-<node>`` for each node, and ``<family>-release`` judges the whole.
They run in this order. A shared trunk that is taught has a pipeline as a node has, and so have all heads together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

from earthsnap_train.pipeline.plan import Plan, Stage, split_reference
from launchers.sagemaker.names import PIPELINE, STEP, distinct, short
from launchers.sagemaker.strategy import is_by_service

DATA = ("draw", "ingest", "select", "records", "trunk", "embed", "embed_originals")
RELEASE = ("calibrate", "evaluate_family", "bundle", "report")
JUDGES = ("evaluate", "evaluate_heads", "evaluate_family")
LOOK = "look"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One container's work: ``stages`` one after the other. ``node``: whose work it is, if a node's.

    ``on`` tuning: one search, by the service's own tuning; its steps are drawn in ``tuning``.

    ``before``: jobs of this pipeline that it reads. ``externals``: what it reads from outside. ``earlier``: stages that
    it reads from pipelines before this one. ``maps``: it makes none of its stages, but is spread over several machines
    that measure photographs for them.
    """

    name: str
    on: Literal["processing", "training", "tuning"]
    stages: tuple[Stage, ...]
    node: str | None
    before: tuple[str, ...]
    externals: tuple[str, ...]
    earlier: tuple[str, ...]
    maps: bool = False

    @property
    def makes(self) -> tuple[Stage, ...]:
        """Stages whose artifacts are there once it has ended."""
        return () if self.maps else self.stages

    @property
    def judges(self) -> bool:
        """Whether gates are judged on what it makes."""
        return any(stage.kind in JUDGES for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    name: str
    node: str | None
    jobs: tuple[Job, ...]

    @property
    def externals(self) -> tuple[str, ...]:
        """What its jobs read from outside."""
        return tuple(dict.fromkeys(name for job in self.jobs for name in job.externals))

    def job_of(self, stage: str) -> Job:
        return next(job for job in self.jobs if any(one.name == stage for one in job.stages))


def pipelines_of(plan: Plan, *, data_jobs: int, fuse: bool, qa_instances: int = 1) -> tuple[Pipeline, ...]:
    """In an order in which they can run. Every stage of the plan is made by one job of one of them."""
    maps = qa_instances > 1 and not _is_limited(plan)
    own = [stage.name for stage in plan.stages if stage.kind == "tune" and _node_of(stage, plan) is None]
    wanted: list[tuple[str, str | None, list[Stage]]] = [
        ("data", None, [stage for stage in plan.stages if _is_data(stage)]),
        *((name, None, [plan.stage(name)]) for name in own),
        *((node, node, [s for s in plan.stages if _node_of(s, plan) == node and not _is_data(s)])
          for node in _nodes(plan)),
        ("release", None, [stage for stage in plan.stages if stage.kind in RELEASE]),
    ]  # fmt: skip
    names = distinct([f"{plan.family}-{name}" for name, _, _ in wanted], PIPELINE)
    return tuple(
        _pipeline(
            names[f"{plan.family}-{name}"], node, _divided(stages, data_jobs=data_jobs, fuse=fuse, maps=maps), maps
        )
        for name, node, stages in wanted
    )


def _is_data(stage: Stage) -> bool:
    """What a taught trunk makes of photographs is no data: it comes after a training."""
    return stage.kind in DATA and (stage.kind == "select" or stage.node is None)


def _nodes(plan: Plan) -> list[str]:
    """Whoever has work of its own."""
    own = {stage.node for stage in plan.stages if stage.node and not _is_data(stage)}
    others = [stage.node for stage in plan.stages if stage.node in own and stage.node not in plan.nodes]
    return [*(node for node in plan.nodes if node in own), *dict.fromkeys(node for node in others if node)]


def _is_limited(plan: Plan) -> bool:
    """A limit is for trying things: several machines would look at all photographs where a few are wanted."""
    limit = plan.stage("ingest").settings["limit"]
    return isinstance(limit, dict) and any(value is not None for value in limit.values())


def _node_of(stage: Stage, plan: Plan) -> str | None:
    if is_by_service(stage):
        return None  # its steps come after a condition, and nothing else may
    if stage.kind == "tune":
        name = stage.name.removeprefix("tune/")
        return name if name in plan.nodes else None
    return stage.node


# ---- which stages share a container


def _divided(stages: Sequence[Stage], *, data_jobs: int, fuse: bool, maps: bool) -> list[list[Stage]]:
    """Selecting takes moments and is one job; groups are dealt out to so many; ``fuse`` joins neighbours that are small.

    ``maps``: photographs are looked at between being drawn and being ingested.
    """
    parts: list[list[Stage]] = []
    taught = list(takewhile(lambda stage: stage.kind not in DATA, stages))
    for stage in taught:
        if fuse and parts and _is_small(stage) and all(_is_small(one) for one in parts[-1]):
            parts[-1].append(stage)
        else:
            parts.append([stage])
    prepared = stages[len(taught) :]
    for kinds in (("draw", "ingest"), ("select",), ("trunk",)):
        chosen = [stage for stage in prepared if stage.kind in kinds]
        is_one = kinds == ("select",) or (fuse and not (maps and "ingest" in kinds))
        parts += [chosen] if is_one else [[stage] for stage in chosen]
    records = list(_batches([stage for stage in prepared if stage.kind == "records"], data_jobs))
    embeds = list(_batches([stage for stage in prepared if stage.kind == "embed"], data_jobs))
    join = fuse and len(records) == len(embeds)
    parts += [r + e for r, e in zip(records, embeds, strict=True)] if join else records + embeds
    parts += [[stage] for stage in prepared if stage.kind == "embed_originals"]
    return [part for part in parts if part]


def _batches(stages: Sequence[Stage], count: int) -> Iterator[list[Stage]]:
    """At most ``count`` runs of neighbours, as equal in number as may be."""
    count = min(count, len(stages))
    for at in range(count):
        yield list(stages[at * len(stages) // count : (at + 1) * len(stages) // count])


def _is_small(stage: Stage) -> bool:
    """A head on frozen features is taught in seconds; a search and a whole network want a machine of their own."""
    if stage.kind == "train":
        training = stage.settings["training"]
        return isinstance(training, dict) and training["method"] == "head"
    return stage.kind not in ("tune", "records", "embed", "embed_originals")


# ---- what they read


def _pipeline(name: str, node: str | None, parts: Sequence[Sequence[Stage]], maps: bool) -> Pipeline:
    names = [_name(part, [one for one in parts if _kinds(one) == _kinds(part)]) for part in parts]
    made_by = {stage.name: job for job, part in zip(names, parts, strict=True) for stage in part}
    jobs = []
    for job, part in zip(names, parts, strict=True):
        needed = list(dict.fromkeys(split_reference(ref)[0] for stage in part for _, ref in stage.references()))
        outside = [one for one in needed if made_by.get(one) != job]
        described = Job(
            name=job,
            on=_on(part),
            stages=tuple(part),
            node=node or _searched_for(part),
            before=tuple(dict.fromkeys(made_by[one] for one in outside if one in made_by)),
            externals=tuple(one.removeprefix("@") for one in outside if one.startswith("@")),
            earlier=tuple(one for one in outside if one not in made_by and not one.startswith("@")),
        )
        if maps and _kinds(part) == {"ingest"}:
            jobs.append(replace(described, name=LOOK, maps=True))
            described = replace(described, before=(*described.before, LOOK))
        jobs.append(described)
    return Pipeline(name=name, node=node, jobs=tuple(jobs))


def _on(part: Sequence[Stage]) -> Literal["processing", "training", "tuning"]:
    """A head that is taught, exported and judged in one job needs what only processing gives: a file for the condition."""
    if is_by_service(part[0]):
        return "tuning"
    return "processing" if len(part) > 1 or part[0].kind not in ("tune", "train") else "training"


def _searched_for(part: Sequence[Stage]) -> str | None:
    """The node, or the kind of node, whose machines a search of the service's uses."""
    return part[0].name.removeprefix("tune/") if is_by_service(part[0]) else None


def _kinds(part: Iterable[Stage]) -> set[str]:
    return {stage.kind for stage in part}


def _name(part: Sequence[Stage], alike: Sequence[Sequence[Stage]]) -> str:
    """``train``, ``records-2``, ``evaluate-family-to-report``."""
    first, last = _word(part[0]), _word(part[-1])
    name = first if first == last else f"{first}-to-{last}"
    is_dealt = part[0].kind in ("records", "embed")
    return short(f"{name}-{list(alike).index(part) + 1}" if is_dealt else name, STEP)


def _word(stage: Stage) -> str:
    return "evaluate-family" if stage.kind == "evaluate_family" else stage.name.partition("/")[0]
