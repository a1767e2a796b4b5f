"""What ``conf/serving/`` declares: how one server process answers for one release."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Serving(SpecModel):
    """``workers: null``: as many as there are usable cores. ``max_waiting``: photographs, beyond which requests get 429.

    ``max_waiting_mb``: of bodies, those that are still arriving too. ``max_decoding_mb``: memory that decoding one
    photograph may take, reckoned from its header.
    """

    engine: Literal["onnxruntime", "openvino"]
    precision: Literal["float32", "bf16"]
    workers: Count | None
    max_batch: Count
    max_waiting: Count
    max_waiting_mb: Positive
    max_body_mb: Positive
    max_photographs: Count
    max_megapixels: Positive
    max_decoding_mb: Positive
    timeout_s: Positive
    max_models_mb: Positive
    top: Count
