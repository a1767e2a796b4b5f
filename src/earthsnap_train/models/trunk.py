"""Stage ``trunk``: the backbone as every node starts from it, with its cost, and as ONNX where it stays frozen.

Writes ``trunk.safetensors``, ``trunk.json`` (number of features, multiply-adds a photograph) and ``trunk.onnx``, that
one in 8-bit integers where they are declared; and ``look.onnx``, one look alone, where a photograph is looked at twice.
"""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from earthsnap_train.context import Context
from earthsnap_train.models.backbone import as_served, empty_trunk, initial_trunk
from earthsnap_train.models.embed import preprocessing
from earthsnap_train.models.heads import OPSET
from earthsnap_train.models.quantize import NUM_CALIBRATED, drawings, quantize, require_faithful
from earthsnap_train.serving.runtimes import OnnxRuntime
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel

NUM_COMPARED = 8


class Settings(SpecModel):
    """``onnx``: whether anything will run this trunk as it is. Input ``taught``: the training that it comes from, else it
    starts as the backbone declares."""

    backbone: Backbone
    seed: int
    onnx: bool


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    if "taught" in inputs:
        trunk = empty_trunk(s.backbone)
        trunk.load_state_dict(load_file(inputs["taught"] / "trunk.safetensors"))
    else:
        trunk = initial_trunk(s.backbone, seed=s.seed, weights=inputs.get("weights"))
    save_file(trunk.eval().state_dict(), out / "trunk.safetensors")
    served = as_served(trunk, s.backbone)
    (out / "trunk.json").write_text(json.dumps(describe(served, s.backbone), sort_keys=True, indent=1))
    if s.onnx:
        _export(served, s.backbone, out / "trunk.onnx", context)
    if s.onnx and served is not trunk:
        _export(trunk, s.backbone, out / "look.onnx", context)


def _export(trunk: nn.Module, backbone: Backbone, path: Path, context: Context) -> None:
    """Raises StageError where the written network says too little of what ``trunk`` says about drawn plants."""
    num_drawn = NUM_COMPARED if backbone.quantization == "none" else NUM_CALIBRATED
    images_BCHW = np.stack(list(islice(drawings(preprocessing(backbone)), num_drawn)))
    if backbone.quantization == "none":
        trunk_to_onnx(trunk, backbone.image_px, path)
    else:
        exact = context.scratch / f"exact_{path.name}"
        trunk_to_onnx(trunk, backbone.image_px, exact)
        quantize(exact, images_BCHW, path)
    with torch.inference_mode():
        exact_BF = trunk(torch.from_numpy(images_BCHW)).numpy()
    written = OnnxRuntime(threads=context.resources.threads).open(path.read_bytes())
    written_BF = np.concatenate([written(image[None]) for image in images_BCHW])
    require_faithful(written_BF, exact_BF, backbone=backbone.name, quantization=backbone.quantization)


def describe(trunk: nn.Module, backbone: Backbone) -> dict[str, int]:
    """Number of features, and multiply-adds for one photograph (counted by torch's own flop counter)."""
    from torch.utils.flop_counter import FlopCounterMode

    images_BCHW = torch.zeros(1, 3, backbone.image_px, backbone.image_px, dtype=torch.uint8)
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        features_BF = trunk(images_BCHW)
    return {"num_features": features_BF.shape[1], "multiply_adds": counter.get_total_flops() // 2}


def trunk_to_onnx(trunk: nn.Module, image_px: int, path: Path) -> None:
    """``images`` uint8 [n, 3, image_px, image_px] -> ``features`` [n, F]; equal trunks give equal bytes."""
    import contextlib
    import io
    import logging
    import warnings

    import onnx

    example = torch.zeros(2, 3, image_px, image_px, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            trunk.eval(), (example,), input_names=["images"], output_names=["features"], opset_version=OPSET,
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},), verbose=False,
        )  # fmt: skip
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    # Traces of source files and of the exporter's naming would make equal networks differ from machine to machine.
    _strip(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _strip(model: object) -> None:
    del model.metadata_props[:]  # type: ignore[attr-defined]
    graph = model.graph  # type: ignore[attr-defined]
    graph.doc_string = ""
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
