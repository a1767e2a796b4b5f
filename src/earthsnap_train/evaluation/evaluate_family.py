"""Stage ``evaluate/family``: the whole cascade, as users will meet it, on the original photographs of the test split.

Writes ``predictions.parquet``, ``metrics.json`` (with the flat baseline's) and ``gates.json``; latencies go to
``notes/latency_ms.json``, since they say something about the machine and not about the family.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.context import Context
from earthsnap_train.data.manifest import read_manifest
from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.answering import judge_answers
from earthsnap_train.evaluation.answers import answered
from earthsnap_train.evaluation.certainty import read_calibration
from earthsnap_train.evaluation.family_metrics import family_metrics
from earthsnap_train.evaluation.figures import Cost, Metrics, figures
from earthsnap_train.evaluation.gates import judge
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, NodePredictions
from earthsnap_train.models.family import Family, Floats, Node
from earthsnap_train.models.naming import Naming
from earthsnap_train.release.assemble import FamilySettings, assemble
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.spec.evaluation import Gate
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.tree import Taxonomy

NUM_TIMED = 50


class Settings(SpecModel):
    """``evaluated``: nodes whose own evaluation is among the inputs as ``evaluate/<node>``."""

    family: FamilySettings
    evaluated: list[str]
    gates: dict[str, Gate]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    family, files = assemble(s.family, inputs)
    engine = Engine(family, Models(files, threads=context.resources.threads))
    known = set(family.species)
    rows = [
        row
        for row in read_manifest(inputs["manifest"] / "manifest.parquet")
        if row.split == "test" and row.species_id in known
    ]
    if not rows:
        raise DataError(
            "no photograph is in the test split, so nothing can be evaluated",
            where="dataset.split",
            remedy="give dataset.split.test a larger share, or raise dataset.split.min_per_species",
        )
    nodes = {name: NodePredictions.read(inputs[f"evaluate/{name}"] / "predictions.parquet") for name in s.evaluated}

    species_BS: list[Floats] = []
    groups_BG: list[Floats] = []
    children_B: list[NDArray[np.intp]] = []
    for answer in answered(engine, s.family.photographs, [row.image_id for row in rows], inputs):
        species_BS.append(answer.species_BS)
        groups_BG.append(answer.groups_BG)
        children_B.append(answer.children_run_B)
        context.events.progress(sum(map(len, species_BS)), len(rows), "images")
    all_species_BS = np.concatenate(species_BS)
    taxonomy = Taxonomy.read(inputs["manifest"] / "taxonomy.parquet")
    naming = Naming(family.named_first, taxonomy, family.species)
    answers = Answers.from_probabilities(family.species, all_species_BS, naming)
    all_groups_BG, num_children_B = np.concatenate(groups_BG), np.concatenate(children_B)
    first_B = all_groups_BG.argmax(axis=1)
    group_of = family.group_of
    flat = nodes.get("flat") if s.family.architecture != "flat" else None
    predictions = FamilyPredictions(
        image_id=np.asarray([row.image_id for row in rows], dtype=np.str_),
        uri=np.asarray([row.uri for row in rows], dtype=np.str_),
        cluster_id=np.asarray([row.cluster_id for row in rows], dtype=np.str_),
        species_id=np.asarray([row.species_id for row in rows], dtype=np.str_),
        group=np.asarray([group_of[row.species_id] for row in rows], dtype=np.str_),
        predicted_group=np.asarray([group_of[name] for name in answers.first], dtype=np.str_),
        answers=answers,
        routed_group=np.asarray([family.groups[g] for g in first_B], dtype=np.str_),
        routed_probability=all_groups_BG.max(axis=1).astype(np.float64),
        oracle_species=_oracle(family, [row.image_id for row in rows], [row.species_id for row in rows], nodes),
        num_children_run=num_children_B.astype(np.int32),
        flat=flat.answers_for(np.asarray([row.image_id for row in rows], dtype=np.str_)) if flat else None,
    )
    predictions.write(out / "predictions.parquet")

    flat_node = None
    if flat is not None:
        flat_node = Node.model_validate_json((inputs["export/flat"] / "node.json").read_bytes())
    metrics = family_metrics(
        predictions,
        taxonomy,
        group_of,
        cost=Cost(multiply_adds=multiply_adds(family, all_groups_BG), latency_ms=None),
        flat_cost=Cost(multiply_adds=flat_node.multiply_adds, latency_ms=None) if flat_node else None,
        named_first=family.named_first,
        answering=judge_answers(
            predictions, all_species_BS, family.species, taxonomy, read_calibration(inputs["calibrated"])
        ),
    )
    (out / "metrics.json").write_text(metrics.model_dump_json(indent=1))
    judged = {name: _metrics(inputs[f"evaluate/{name}"]) for name in s.evaluated}
    gates = judge(figures(metrics, judged), s.gates)
    (out / "gates.json").write_text(json.dumps([gate.model_dump() for gate in gates], indent=1))
    (out / "notes").mkdir()
    alone = Engine(family, Models(files, threads=1))  # one thread, as a server's worker has it
    latency = {"family": _latency_ms(alone, s, rows[0].image_id, inputs)}
    if flat_node is not None:
        one_network = s.family.model_copy(update={"architecture": "flat", "nodes": ["flat"], "routing": None})
        one, its_files = assemble(one_network, inputs)
        latency["flat"] = _latency_ms(Engine(one, Models(its_files, threads=1)), s, rows[0].image_id, inputs)
    (out / "notes" / "latency_ms.json").write_text(json.dumps(latency))


def _metrics(folder: Path) -> Metrics:
    return Metrics.model_validate_json((folder / "metrics.json").read_bytes())


def _oracle(
    family: Family, image_ids: list[str], species: list[str], nodes: Mapping[str, NodePredictions]
) -> NDArray[np.str_]:
    """What the true group's child says of each photograph; a group with one species has only one answer."""
    said: dict[str, str] = {}
    for name, predictions in nodes.items():
        if name.startswith("child/") or (name == "flat" and family.architecture == "flat"):
            said |= dict(zip(predictions.image_id.tolist(), predictions.answers.first.tolist(), strict=True))
    return np.asarray([said.get(i, s) for i, s in zip(image_ids, species, strict=True)], dtype=np.str_)


def multiply_adds(family: Family, groups_BG: Floats) -> float:
    """Mean over the photographs; a trunk that several nodes share looks at each of them once."""
    chosen_BG = family.children_to_run(groups_BG)
    everyone_B = np.ones(len(groups_BG), dtype=np.bool_)
    asked = [(family.root, everyone_B)]
    asked += [(child, chosen_BG[:, g]) for g, group in enumerate(family.groups) if (child := family.child(group))]
    heads = sum(node.head_multiply_adds * float(asked_B.mean()) for node, asked_B in asked)
    trunks: dict[str, tuple[int, NDArray[np.bool_]]] = {}
    for node, asked_B in asked:
        _, before_B = trunks.get(node.trunk, (0, ~everyone_B))
        trunks[node.trunk] = (node.trunk_multiply_adds, before_B | asked_B)
    return heads + sum(cost * float(used_B.mean()) for cost, used_B in trunks.values())


def _latency_ms(engine: Engine, s: Settings, image_id: str, inputs: Mapping[str, Path]) -> float:
    """Median from prepared pixels to the answer, of one photograph on this machine."""
    (image,) = s.family.photographs.batches([image_id], manifest=inputs["manifest"], photographs=inputs["photographs"])
    seconds = []
    for _ in range(NUM_TIMED):
        start = time.perf_counter()
        engine.answer(image)
        seconds.append(time.perf_counter() - start)
    return round(1000 * float(np.median(seconds)), 3)
