"""Records -> uint8 batches. With ``augment`` the only part of ``data`` that imports torch."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from earthsnap_train.data.batches import Picks
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.preprocess import Preprocessing, prepare
from earthsnap_train.data.shards import find_images


class Batch(NamedTuple):
    """uint8 images [B, 3, H, W], normalised on the device by the network itself, and int64 labels [B]."""

    images: Tensor
    labels: Tensor


class Transform(Protocol):
    def __call__(self, image: Image.Image, *, image_id: str, visit: int) -> Tensor:
        """An RGB photograph -> uint8 [3, H, W]."""


@dataclass(frozen=True)
class EvalTransform:
    """The preparation that serving uses; the same at every visit."""

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image, *, image_id: str, visit: int) -> Tensor:
        return torch.from_numpy(prepare(image, self.preprocessing))


class RecordsDataset(Dataset[Batch]):
    """The examples of one node in some splits, ordered by image id, their pictures in the records of any groups.

    Labels are the examples' own: the parent and the flat network read every group's records, whose headers name the
    child's classes. Indexed by ``Picks``: one call makes one batch. Raises ``IntegrityError`` for an image that no
    folder has, and when a record that is read is not what was written.
    """

    def __init__(self, *, folders: Sequence[Path], examples: Path, splits: Sequence[str], transform: Transform) -> None:
        rows = Examples.read(examples).of(*splits)
        self._shards, self._places = find_images(folders, rows.image_ids)
        # An array and not a list: worker processes share its memory for as long as nobody counts references in it.
        self._image_ids = np.array(rows.image_ids, dtype="S64")
        self.labels = rows.labels
        self._transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_ids(self) -> list[str]:
        return [image_id.decode() for image_id in self._image_ids.tolist()]

    def __getitem__(self, picks: Picks) -> Batch:
        images = [self._image(int(p), int(v)) for p, v in zip(picks.positions, picks.visits, strict=True)]
        return Batch(torch.stack(images), torch.from_numpy(self.labels[picks.positions]))

    def _image(self, position: int, visit: int) -> Tensor:
        number, place = self._places[position]
        jpeg = self._shards[number].read(int(place)).image
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        return self._transform(image, image_id=self._image_ids[position].decode(), visit=visit)


def make_loader(
    dataset: RecordsDataset, batches: Iterable[Picks], *, num_workers: int, pin_memory: bool = False
) -> DataLoader[Batch]:
    """The batches that ``batches`` names, in order, the same bit for bit for any number of worker processes."""
    return DataLoader(
        dataset,
        sampler=batches,
        batch_size=None,  # a pick list makes a whole batch by itself
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or each start of the loader would draw a number from the global one
    )
