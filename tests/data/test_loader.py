import multiprocessing
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from earthsnap_train.context import Context
from earthsnap_train.data import records
from earthsnap_train.data.augment import TrainTransform
from earthsnap_train.data.batches import Picks, SequentialBatches, ShuffledBatches
from earthsnap_train.data.loader import EvalTransform, RecordsDataset, make_loader
from earthsnap_train.data.preprocess import Preprocessing, prepare
from earthsnap_train.data.shards import RecordFolder
from earthsnap_train.errors import IntegrityError
from earthsnap_train.spec.augmentation import Augmentation

PREPROCESSING = Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear")
AUGMENTATION = Augmentation.model_validate(
    {
        "scale_min": 0.4,
        "ratio_max": 1.33,
        "rotation_deg": 10,
        "horizontal_flip": True,
        "colour_jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.0},
        "random_erasing": 0.2,
        "mixup": None,
        "cutmix": None,
    }
)
ROSES, OAKS = ("rosa-canina", "rosa-rugosa"), ("quercus-ilex", "quercus-robur", "quercus-suber")


def pack(group: Any, classes: tuple[str, ...]) -> Path:
    out = group.root / "records"
    out.mkdir()
    settings = {"shorter_px": 40, "jpeg_quality": 92, "max_megapixels": 1.0, "classes": list(classes)}
    records.run(settings, group.inputs, out, Context(scratch=out))
    return out


@pytest.fixture
def two_groups(make_group: Callable[..., Any], tmp_path: Path) -> tuple[list[Path], Path]:
    """Records of two groups and the parent's examples: label 0 for every rose, 1 for every oak."""
    roses = make_group("roses", seed=1, classes=ROSES)
    oaks = make_group("oaks", seed=2, classes=OAKS)
    rows = [row | {"label": label} for label, group in enumerate((roses, oaks)) for row in group.rows]
    pq.write_table(pa.Table.from_pylist(rows).sort_by("image_id"), tmp_path / "examples.parquet")
    return [pack(roses, ROSES), pack(oaks, OAKS)], tmp_path


def dataset_of(two_groups: tuple[list[Path], Path], *splits: str, train: bool = False) -> RecordsDataset:
    folders, examples = two_groups
    transform = TrainTransform(AUGMENTATION, PREPROCESSING, seed=0) if train else EvalTransform(PREPROCESSING)
    return RecordsDataset(folders=folders, examples=examples, splits=splits, transform=transform)


def training_batches(
    two_groups: tuple[list[Path], Path], num_workers: int, start_step: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    dataset = dataset_of(two_groups, "train", train=True)
    batches = ShuffledBatches(
        labels=dataset.labels, batch_size=8, seed=0, balance="sqrt", start_step=start_step, num_steps=12
    )
    # spawn, because everything that goes to a worker must then survive being handed over
    loader = make_loader(dataset, batches, num_workers=num_workers)
    loader.multiprocessing_context = multiprocessing.get_context("spawn") if num_workers else None
    return list(loader)


def test_the_parent_reads_every_group_under_its_own_labels(two_groups: tuple[list[Path], Path]) -> None:
    dataset = dataset_of(two_groups, "train", "val")
    rows = {row["image_id"]: row for row in pq.read_table(two_groups[1] / "examples.parquet").to_pylist()}
    assert dataset.image_ids == sorted(image_id for image_id, row in rows.items() if row["split"] != "test")
    assert dataset.labels.tolist() == [rows[image_id]["label"] for image_id in dataset.image_ids]
    assert set(dataset.labels.tolist()) == {0, 1}


def test_validation_sees_what_serving_prepares(two_groups: tuple[list[Path], Path]) -> None:
    dataset = dataset_of(two_groups, "val")
    stored = {
        image_id: shard.read(position).image
        for folder in two_groups[0]
        for shard in RecordFolder.open(folder).shards.values()
        for position, image_id in enumerate(shard.image_ids)
    }
    loader = make_loader(dataset, SequentialBatches(num_examples=len(dataset), batch_size=3), num_workers=0)
    images = torch.cat([batch.images for batch in loader])
    labels = torch.cat([batch.labels for batch in loader])
    expected = [prepare(Image.open(BytesIO(stored[image_id])), PREPROCESSING) for image_id in dataset.image_ids]
    assert np.array_equal(images.numpy(), np.stack(expected))
    assert labels.tolist() == dataset.labels.tolist()


@pytest.mark.slow
def test_batches_are_the_same_bit_for_bit_for_any_number_of_workers(two_groups: tuple[list[Path], Path]) -> None:
    alone = training_batches(two_groups, num_workers=0)
    together = training_batches(two_groups, num_workers=2)
    assert len(alone) == len(together) == 12
    for (images, labels), (other_images, other_labels) in zip(alone, together, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_a_run_that_was_stopped_gets_the_batches_that_would_have_followed(two_groups: tuple[list[Path], Path]) -> None:
    whole = training_batches(two_groups, num_workers=0)
    for start in (1, 5, 7):
        rest = training_batches(two_groups, num_workers=0, start_step=start)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[start:], rest, strict=True))


def test_batches_are_bytes(two_groups: tuple[list[Path], Path]) -> None:
    images, labels = training_batches(two_groups, num_workers=0)[0]
    assert (images.dtype, tuple(images.shape), labels.dtype) == (torch.uint8, (8, 3, 32, 32), torch.int64)


def test_loading_draws_nothing_from_the_global_generator(two_groups: tuple[list[Path], Path]) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    training_batches(two_groups, num_workers=0)
    assert torch.equal(torch.rand(3), expected)


def test_an_example_without_a_record_is_named(two_groups: tuple[list[Path], Path]) -> None:
    (roses, _), examples = two_groups
    with pytest.raises(IntegrityError, match=r"24 of 48 examples are in none of 1 folders .* image [0-9a-f]{64}"):
        dataset_of(([roses], examples), "train", "val")


def test_a_flipped_bit_stops_the_batch_and_is_named(two_groups: tuple[list[Path], Path]) -> None:
    path = two_groups[0][0] / "val.rec"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    dataset = dataset_of(two_groups, "val")
    with pytest.raises(IntegrityError, match=r"val\.rec: record 0 \(image [0-9a-f]{64}\)"):
        dataset[Picks(np.arange(len(dataset)), np.zeros(len(dataset), dtype=np.int64))]


def test_no_examples_in_a_split_is_an_empty_dataset(two_groups: tuple[list[Path], Path]) -> None:
    assert len(dataset_of(two_groups)) == 0
