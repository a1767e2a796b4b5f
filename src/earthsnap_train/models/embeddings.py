"""Features that stage ``embed`` or ``embed_originals`` has written, found by image id; numpy alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from earthsnap_train.models.family import Floats


class Embeddings:
    """``folders``: of one group each, by any name."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._rows: dict[str, tuple[Floats, int]] = {}
        self._shape: tuple[int, ...] = (0,)  # of one photograph's; a group without any has none
        for folder in folders.values():
            features_NF = np.load(folder / "features.npy", mmap_mode="r")
            self._shape = features_NF.shape[1:] if len(features_NF) else self._shape
            for place, image_id in enumerate(json.loads((folder / "index.json").read_text())["image_ids"]):
                self._rows[image_id] = (features_NF, place)

    def of(self, image_ids: Sequence[str]) -> Floats:
        """[N, F], in the order asked for; [N, 2, F] where mirror images were looked at too."""
        if not image_ids:
            return np.zeros((0, *self._shape), dtype=np.float32)
        result: Floats = np.stack([features_NF[place] for features_NF, place in map(self._rows.__getitem__, image_ids)])
        return result
