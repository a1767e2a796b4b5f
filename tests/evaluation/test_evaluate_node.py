"""A node is judged as exported, on the originals of its test split."""

from collections.abc import Callable
from typing import Any

import numpy as np

from earthsnap_train.data.examples import Examples
from earthsnap_train.data.manifest import read_manifest
from earthsnap_train.data.preprocess import Preprocessing, prepare_file
from earthsnap_train.evaluation.figures import Metrics
from earthsnap_train.evaluation.predictions import NodePredictions
from earthsnap_train.models.family import Node
from earthsnap_train.serving.engine import Models

NODE = "child/rosaceae"


def test_predictions_are_those_of_the_exported_model_on_the_original_photographs(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head")
    predictions = NodePredictions.read(family.out(f"evaluate/{NODE}") / "predictions.parquet")
    test = Examples.read(family.out(f"select/{NODE}")).of("test")
    assert predictions.image_id.tolist() == list(test.image_ids)
    assert predictions.truth.tolist() == list(test.species_ids)
    export = family.out(f"export/{NODE}")
    node = Node.model_validate_json((export / "node.json").read_bytes())
    models = Models({node.head: export / "head.onnx", node.trunk: family.out("trunk") / "trunk.onnx"})
    uri = {row.image_id: row.uri for row in read_manifest(family.out("ingest") / "manifest.parquet")}
    preprocessing = Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bicubic")
    for place, image_id in enumerate(test.image_ids):
        data = (family.places["photographs"] / uri[image_id]).read_bytes()
        image = prepare_file(data, preprocessing, max_megapixels=178)
        probabilities_C = models.probabilities(node, models.features(node.trunk, [image]))[0]
        assert predictions.answers.first[place] == node.classes[int(probabilities_C.argmax())]
        assert np.isclose(predictions.answers.probability[place][0], probabilities_C.max(), atol=1e-6)


def test_the_metrics_are_those_of_the_predictions(tiny: Callable[..., Any]) -> None:
    out = tiny("training=head").out(f"evaluate/{NODE}")
    predictions = NodePredictions.read(out / "predictions.parquet")
    metrics = Metrics.model_validate_json((out / "metrics.json").read_bytes())
    assert metrics.num_images == len(predictions.truth)
    assert metrics.top1.value == np.mean(predictions.answers.first == predictions.truth)
