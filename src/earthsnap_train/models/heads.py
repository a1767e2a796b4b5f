"""The linear head: features [B, F] -> logits [B, C]; as tensors, in torch and as ONNX."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Floats = NDArray[np.float32]
OPSET = 18


def save_head(path: Path, *, weight_CF: Floats, bias_C: Floats) -> None:
    save_file({"weight": np.ascontiguousarray(weight_CF), "bias": np.ascontiguousarray(bias_C)}, path)


def load_head(path: Path) -> tuple[Floats, Floats]:
    """(weight [C, F], bias [C])."""
    tensors = load_file(path)
    return tensors["weight"], tensors["bias"]


def head_to_onnx(path: Path, *, weight_CF: Floats, bias_C: Floats) -> None:
    """``features`` [n, F] -> ``logits`` [n, C]: one Gemm, written down directly, since tracing one would take seconds."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    num_classes, num_features = weight_CF.shape
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1)],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", num_features])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", num_classes])],
        [numpy_helper.from_array(weight_CF, "weight"), numpy_helper.from_array(bias_C, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
