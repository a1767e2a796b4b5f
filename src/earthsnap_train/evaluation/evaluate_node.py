"""Stage ``evaluate``: one exported node on the original photographs of its test split.

Writes ``predictions.parquet`` and ``metrics.json``.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.manifest import read_manifest
from earthsnap_train.data.photographs import Photographs
from earthsnap_train.evaluation.metrics import node_metrics
from earthsnap_train.evaluation.predictions import Answers, NodePredictions
from earthsnap_train.models.family import Node
from earthsnap_train.serving.engine import Models


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    photographs = Photographs.model_validate(settings)
    node = Node.model_validate_json((inputs["export"] / "node.json").read_bytes())
    own_trunk = inputs["export"] / "trunk.onnx"
    trunk = own_trunk if own_trunk.is_file() else inputs["trunk"] / "trunk.onnx"
    models = Models({node.trunk: trunk, node.head: inputs["export"] / "head.onnx"}, threads=context.resources.threads)
    examples = Examples.read(inputs["examples"]).of("test")

    parts = [np.zeros((0, len(node.classes)), dtype=np.float32)]
    for images in photographs.batches(
        examples.image_ids, manifest=inputs["manifest"], photographs=inputs["photographs"]
    ):
        parts.append(models.probabilities(node, models.features(node.trunk, images)))
        context.events.progress(sum(map(len, parts)), len(examples), "images")
    uri = {row.image_id: row.uri for row in read_manifest(inputs["manifest"] / "manifest.parquet")}
    predictions = NodePredictions(
        image_id=np.asarray(examples.image_ids, dtype=np.str_),
        uri=np.asarray([uri[i] for i in examples.image_ids], dtype=np.str_),
        truth=np.asarray([node.classes[label] for label in examples.labels], dtype=np.str_),
        answers=Answers.from_probabilities(node.classes, np.concatenate(parts)),
    )
    predictions.write(out / "predictions.parquet")
    metrics = node_metrics(predictions, examples.cluster_ids)
    (out / "metrics.json").write_text(metrics.model_dump_json(indent=1))
