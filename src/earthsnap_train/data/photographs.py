"""Original photographs as a network sees them: what evaluation and the golden answers of a release look at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.originals import original_reader
from earthsnap_train.data.preprocess import Interpolation, Preprocessing, prepare_file
from earthsnap_train.spec.model import SpecModel


class Photographs(SpecModel):
    """How an original becomes what a network sees."""

    image_px: int
    crop_fraction: float
    interpolation: Interpolation
    max_megapixels: float

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(image_px=self.image_px, crop_fraction=self.crop_fraction, interpolation=self.interpolation)

    def batches(
        self, image_ids: Sequence[str], *, manifest: Path, photographs: Path, batch_size: int = 32
    ) -> Iterator[NDArray[np.uint8]]:
        """[at most ``batch_size``, 3, image_px, image_px], in the order of ``image_ids``."""
        read = original_reader(manifest, photographs)
        for start in range(0, len(image_ids), batch_size):
            files = map(read, image_ids[start : start + batch_size])
            yield np.stack([prepare_file(f, self.preprocessing, max_megapixels=self.max_megapixels) for f in files])
