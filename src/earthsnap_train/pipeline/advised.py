"""What ``advise`` runs: the part of a plan that embeds its photographs, and the stage that draws advice from them.

And where it wrote what was drawn: a page shows photographs, and those may have to be forgotten.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from earthsnap_train.advice.figures import Advice
from earthsnap_train.advice.files import FIGURES, PAGE
from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan, Stage, split_reference
from earthsnap_train.pipeline.slices import Json
from earthsnap_train.pipeline.store import Store, write_atomically
from earthsnap_train.spec.architecture import SharedTrunk
from earthsnap_train.spec.job import Advise
from earthsnap_train.spec.launcher import Local
from earthsnap_train.spec.run import RunSpec

STAGE = "advise"


def check_advisable(spec: RunSpec) -> None:
    """Raises ConfigError where photographs would have no features that can be judged by."""
    if not isinstance(spec.architecture, SharedTrunk):
        raise ConfigError(
            "advice is drawn from heads on one trunk, which are solved in seconds",
            where="architecture",
            allowed="shared_trunk",
            remedy="Add architecture=shared_trunk; what it advises holds for any family of these species.",
        )
    if spec.training.method != "head":
        raise ConfigError(
            "a trunk that was taught these species has seen the labels that are to be doubted",
            where="training",
            allowed="head",
            remedy="Add training=head, which leaves the trunk as it is.",
        )
    if not isinstance(spec.launcher, Local):
        raise ConfigError("advice is drawn on this machine", where="launcher", allowed="local", remedy="launcher=local")


def advice_plan(spec: RunSpec, job: Advise, plan: Plan) -> Plan:
    """``plan``: the whole of what is declared, which ``check_advisable`` has let pass."""
    heads = plan.stage("heads")
    stage = Stage(
        name=STAGE,
        kind="advise",
        inputs={
            name: reference
            for name, reference in heads.inputs.items()
            if name.startswith(("examples/", "embed/")) or name == "originals"
        }
        | {"manifest": "ingest"},
        sources={"photographs": plan.stage("embed/originals").sources["photographs"]},
        settings=_settings(spec, job, heads.settings),
        num_images=heads.num_images,
    )
    needed = _before(stage, plan)
    stages = tuple(one for one in plan.stages if one.name in needed)
    return plan.model_copy(update={"stages": (*stages, stage)})


def _settings(spec: RunSpec, job: Advise, heads: Json) -> Json:
    assert isinstance(spec.architecture, SharedTrunk)
    targets = spec.architecture.parent.targets
    return {
        "family": spec.name,
        "groups": heads["groups"],
        "num_looks": spec.backbone.looks,
        "targets": "species" if targets == "auto" else targets,
        "species_per_cluster": spec.architecture.parent.species_per_cluster,
        "routing": heads["routing"],
        "lesson": heads["lesson"],
        "limits": {
            "min_species": job.min_species,
            "max_species": job.max_species,
            "num_groups": job.num_groups,
        },
        "num_folds": job.num_folds,
        "seed": spec.seed,
    }


def _before(stage: Stage, plan: Plan) -> set[str]:
    """Names of all stages that must be there before this one can start."""
    by_name = {one.name: one for one in plan.stages}
    needed: set[str] = set()
    todo = [stage]
    while todo:
        for _, reference in todo.pop().references():
            name = split_reference(reference)[0]
            if name in by_name and name not in needed:
                needed.add(name)
                todo.append(by_name[name])
    return needed


def remember_folder(store: Store, folder: Path) -> None:
    """Of advice that is about to be written. Reached from the store, so that both may be moved together."""
    reached = os.path.relpath(folder.resolve(), store.root.resolve())
    known = store.advised.read_text().splitlines() if store.advised.exists() else []
    if reached not in known:
        write_atomically(store.advised, "".join(f"{one}\n" for one in (*known, reached)).encode())


def pages_of(store: Store, image_id: str, uris: Collection[str]) -> Iterator[Path]:
    """Pages of advice, and their figures, that may show the photograph. Groupings and lists of labels show none."""
    for reached in store.advised.read_text().splitlines() if store.advised.exists() else []:
        folder = (store.root / reached).resolve()
        if _shows(folder / FIGURES, {image_id, *uris}):
            yield from (page for name in (PAGE, FIGURES) if (page := folder / name).exists())


def _shows(figures: Path, names: set[str]) -> bool:
    """Whether the page beside these figures may show a photograph of one of the names; without them it may show any."""
    try:
        advice = Advice.model_validate_json(figures.read_bytes())
    except (FileNotFoundError, ValueError):
        return True
    return bool(names & {*(one.image_id for one in advice.suspects), *(one.clearest for one in advice.species)})
