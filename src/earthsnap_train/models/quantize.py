"""A trunk in 8-bit integers: static quantisation after training (Jacob et al., CVPR 2018), by ONNX Runtime.

Weights have a scale for each channel, activations one for each tensor, from the least and the greatest value that a few
photographs bring about. A trunk that stays frozen is measured on drawings: its ranges come from what it was taught on
long ago (on plants-dev real photographs make no difference), and so no new photograph ever changes it.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.flora.photograph import photograph
from earthsnap_train.data.flora.species import species_of
from earthsnap_train.data.preprocess import Preprocessing, prepare_file
from earthsnap_train.errors import StageError
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.dataset import FloraFaults, SyntheticFlora

NUM_CALIBRATED = 64  # photographs; more change nothing
# Of the features' variance. On plants-dev a head taught on such features loses half a point from 0.1 on, and two at 0.4.
MAX_LOST_SHARE = 0.1
MAX_LOST_IN_FLOATS = 1e-6  # of the same: rounding alone loses a millionth of that
_DRAWN = SyntheticFlora(
    kind="synthetic_flora", num_species=NUM_CALIBRATED, num_groups=8, plants_per_species=1, photos_per_plant=1,
    image_px=256, seed=0, faults=FloraFaults(duplicates=0, wrong_labels=0, corrupt=0),
)  # fmt: skip
_NO_LIMIT_MEGAPIXELS = 1.0  # of drawings, which are our own


def drawings(preprocessing: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    """Drawn plants, one of each species, as a network sees them: the same everywhere and for every family."""
    for species in species_of(_DRAWN):
        drawn = photograph(species, seed=_DRAWN.seed, plant=0, photo=0, image_px=_DRAWN.image_px)
        yield prepare_file(drawn, preprocessing, max_megapixels=_NO_LIMIT_MEGAPIXELS)


def quantize(exact: Path, images: Iterable[NDArray[np.uint8]], out: Path) -> None:
    """Writes the trunk in ``exact`` (ONNX) with integers inside to ``out``; what goes in and comes out stays as it is.

    ``images``: uint8 [3, H, W], of which the first ``NUM_CALIBRATED`` are looked at. Equal trunks and equal images give
    equal bytes.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        shaped, written = Path(folder) / "shaped.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(exact, shaped, skip_symbolic_shape=True)
        quantize_static(
            shaped, written, _Reader(islice(images, NUM_CALIBRATED)), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        model = onnx.load(written)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))


class _Reader:
    """What ONNX Runtime asks for its photographs."""

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {"images": image[None]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's advice is for those who quantise by hand, and it prints how far it is."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)


def require_faithful(
    written_BF: Floats, exact_BF: Floats, *, backbone: str, quantization: Literal["none", "int8"]
) -> float:
    """The share of the features' variance that was lost. Raises StageError beyond what heads can do without."""
    variance = float(np.square(exact_BF - exact_BF.mean(axis=0)).sum())
    lost = float(np.square(written_BF - exact_BF).sum()) / max(variance, 1e-12)
    if quantization == "none" and not lost <= MAX_LOST_IN_FLOATS:
        raise StageError(
            f"the exported network's features differ from torch's by {lost:.2g} of their variance",
            where=f"backbone.name={backbone}",
            allowed=f"at most {MAX_LOST_IN_FLOATS:g}",
            remedy="choose another backbone: this one does not survive its export to ONNX",
        )
    if not lost <= MAX_LOST_SHARE:
        raise StageError(
            f"8-bit integers lose {lost:.0%} of what the features say about {len(exact_BF)} photographs",
            where=f"backbone.name={backbone}",
            allowed=f"at most {MAX_LOST_SHARE:.0%}",
            remedy="backbone.quantization=none, or another backbone: this one needs its floats",
        )
    return lost
