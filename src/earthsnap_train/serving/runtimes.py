"""The port to the engines that run an ONNX file on a CPU, and the two that there are."""

import queue
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.errors import ConfigError, EnvironmentProblem

# One input, one output; several threads may call it at once.
Network = Callable[[NDArray[Any]], NDArray[np.float32]]
Precision = Literal["float32", "bf16"]
# How far a probability may lie from the golden one, which ONNX Runtime computed where the release was made: engines and
# processors round integers each in their own way (``benchmarks/serving``).
TOLERANCE: Mapping[Precision | Literal["int8"], float] = {"float32": 0.02, "bf16": 0.15, "int8": 0.25}


class Runtime(Protocol):
    """Opens networks. ``precision``: what it really computes in where a network has floats."""

    precision: Precision

    def open(self, model: bytes) -> Network:
        """``model``: an ONNX file with one input and one output."""
        ...


class OnnxRuntime:
    """``threads``: of one operation. Always float32: on a CPU it computes in no other precision as fast."""

    precision: Precision = "float32"

    def __init__(self, *, threads: int = 1) -> None:
        import onnxruntime as ort

        self._ort = ort
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = 3

    def open(self, model: bytes) -> Network:
        session = self._ort.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(values: NDArray[Any]) -> NDArray[np.float32]:
            result: NDArray[np.float32] = session.run(None, {name: values})[0]
            return result

        return run


class OpenVino:
    """``streams``: calls that run at once, each on one core. ``bf16`` where the processor has it, else as float32."""

    def __init__(self, *, streams: int, precision: Precision) -> None:
        try:
            import openvino
        except ImportError:
            raise EnvironmentProblem(
                "OpenVINO is not installed",
                where="serving.engine",
                allowed="onnxruntime is always there",
                remedy='pip install "earthsnap_train[openvino]"',
            ) from None
        self._core = openvino.Core()
        self._streams = streams
        knows_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision: Precision = "bf16" if precision == "bf16" and knows_bf16 else "float32"
        self._settings = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,
        }

    def open(self, model: bytes) -> Network:
        read = self._core.read_model(model)
        one, *rest = read.input(0).partial_shape
        if one.is_dynamic:
            read.reshape([1, *rest])  # a shape that is known beforehand runs faster, and photographs come one by one
        compiled = self._core.compile_model(read, "CPU", self._settings)
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self._streams):
            free.put(compiled.create_infer_request())

        def run(values: NDArray[Any]) -> NDArray[np.float32]:
            request = free.get()
            try:
                request.infer({0: values}, share_inputs=True)
                result: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
            finally:
                free.put(request)
            return result

        return run


def runtime(engine: Literal["onnxruntime", "openvino"], precision: Precision, *, streams: int) -> Runtime:
    """Raises EnvironmentProblem where the engine is not installed, ConfigError for a precision that it does not have."""
    if engine == "openvino":
        return OpenVino(streams=streams, precision=precision)
    if precision != "float32":
        raise ConfigError(
            f"onnxruntime does not compute in {precision}",
            where="serving.precision",
            allowed="float32",
            remedy="serving.engine=openvino does",
        )
    return OnnxRuntime()
