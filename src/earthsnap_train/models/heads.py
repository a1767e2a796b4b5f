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


def rooted(features: Floats) -> Floats:
    """Signed square roots: the few features that are large no longer outweigh the many that are small (power
    normalisation, Perronnin, Sanchez and Mensink, ECCV 2010)."""
    roots: Floats = np.sign(features) * np.sqrt(np.abs(features))
    return roots


def head_to_onnx(path: Path, *, weight_CF: Floats, bias_C: Floats, of_roots: bool = False) -> None:
    """``features`` [n, F] -> ``logits`` [n, C]: one Gemm, written down directly, since tracing one would take seconds.

    ``of_roots``: the head was taught on ``rooted`` features, and takes the roots itself.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    num_classes, num_features = weight_CF.shape
    roots = [
        helper.make_node("Sign", ["features"], ["sign"]),
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("Sqrt", ["size"], ["root"]),
        helper.make_node("Mul", ["sign", "root"], ["roots"]),
    ]
    taken = "roots" if of_roots else "features"
    gemm = helper.make_node("Gemm", [taken, "weight", "bias"], ["logits"], transB=1)
    graph = helper.make_graph(
        [*(roots if of_roots else []), gemm],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", num_features])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", num_classes])],
        [numpy_helper.from_array(weight_CF, "weight"), numpy_helper.from_array(bias_C, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
