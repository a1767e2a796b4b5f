"""Stage ``evaluate_heads``: every node of a family on one trunk, on the original photographs of its test split.

Writes for each node ``<node>/predictions.parquet`` and ``<node>/metrics.json``, as stage ``evaluate`` does for one. The
trunk has seen the photographs already (stage ``embed_originals``).
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.manifest import read_manifest
from earthsnap_train.evaluation.metrics import node_metrics
from earthsnap_train.evaluation.predictions import Answers, NodePredictions
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Node, places_of_classes, summed_by_group
from earthsnap_train.serving.engine import Models
from earthsnap_train.spec.model import SpecModel


class Settings(SpecModel):
    nodes: list[str]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    heads = inputs["heads"]
    originals = Embeddings({"": inputs["originals"]})
    examples = {
        name.removeprefix("examples/"): Examples.read(path).of("test")
        for name, path in inputs.items()
        if name.startswith("examples/")
    }
    class_of_parent = json.loads((heads / "class_of.json").read_text())
    uri = {row.image_id: row.uri for row in read_manifest(inputs["manifest"] / "manifest.parquet")}
    for done, name in enumerate(s.nodes):
        node = Node.model_validate_json((heads / name / "node.json").read_bytes())
        own = [examples[name.removeprefix("child/")]] if name.startswith("child/") else list(examples.values())
        rows = sorted(
            (image_id, class_of_parent[species] if name == "parent" else species, cluster)
            for one in own
            for image_id, species, cluster in zip(one.image_ids, one.species_ids, one.cluster_ids, strict=True)
        )
        image_ids, truth, clusters = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
        models = Models({node.head: heads / name / "head.onnx"}, threads=context.resources.threads)
        classes, probabilities_BC = node.classes, models.probabilities(node, originals.of(image_ids))
        if name == "parent" and (node.gone or not set(class_of_parent.values()) <= set(classes)):
            # A parent that was kept has no class for what is new: it is judged by the groups that it routes to.
            classes = tuple(dict.fromkeys(class_of_parent.values()))
            places_C = places_of_classes(node, class_of_parent, classes)
            probabilities_BC = summed_by_group(probabilities_BC, places_C, len(classes))
        predictions = NodePredictions(
            image_id=np.asarray(image_ids, dtype=np.str_),
            uri=np.asarray([uri[one] for one in image_ids], dtype=np.str_),
            truth=np.asarray(truth, dtype=np.str_),
            answers=Answers.from_probabilities(classes, probabilities_BC),
        )
        folder = out / name
        folder.mkdir(parents=True)
        predictions.write(folder / "predictions.parquet")
        (folder / "metrics.json").write_text(node_metrics(predictions, clusters).model_dump_json(indent=1))
        context.events.progress(done + 1, len(s.nodes), "nodes")
