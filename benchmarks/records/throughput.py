"""Images a second of our loader beside torchvision's ``ImageFolder``: RandomResizedCrop and flip.

    python benchmarks/records/throughput.py PHOTOGRAPHS PACKED [--px 160]

``PHOTOGRAPHS`` is a folder of ``<group>/<species>/<file>.jpg`` (2,000 at least) and ``PACKED`` what ``pack.py`` made of
it. First in this process, batch by batch in turns, so that a busy machine is as busy for each: images per second of
processor time. Then with worker processes, in turns of a few seconds: images per second of the clock.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from earthsnap_train.data.augment import TrainTransform
from earthsnap_train.data.batches import ShuffledBatches
from earthsnap_train.data.loader import RecordsDataset, make_loader
from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.spec.augmentation import Augmentation

warnings.simplefilter("ignore")
parser = argparse.ArgumentParser()
parser.add_argument("photographs", type=Path)
parser.add_argument("packed", type=Path)
parser.add_argument("--px", type=int, default=160)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--seconds", type=float, default=8)
parser.add_argument("--rounds", type=int, default=3, help="0 leaves the worker processes out")
options = parser.parse_args()

BATCH = 64
AUGMENTATION = Augmentation(
    scale_min=0.4, ratio_max=4 / 3, rotation_deg=0, horizontal_flip=True, colour_jitter=None, random_erasing=None,
    mixup=None, cutmix=None,
)  # fmt: skip


def folder_loader(*, floats: bool, num_workers: int) -> Iterable[object]:
    steps = [v2.RandomResizedCrop(options.px, scale=(0.4, 1.0)), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    if floats:
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    # Its classes are the groups: what it reads and decodes is the same.
    dataset = ImageFolder(str(options.photographs), transform=v2.Compose(steps))
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=num_workers)


def our_loader(num_workers: int) -> Iterable[object]:
    preprocessing = Preprocessing(image_px=options.px, crop_fraction=1.0, interpolation="bilinear")
    dataset = RecordsDataset(
        folders=[options.packed / "records"],
        examples=options.packed / "examples",
        splits=["train", "val", "test"],
        transform=TrainTransform(AUGMENTATION, preprocessing, seed=0),
    )
    batches = ShuffledBatches(labels=dataset.labels, batch_size=BATCH, seed=0)
    return make_loader(dataset, batches, num_workers=num_workers)


def per_core_second(num_batches: int = 30) -> dict[str, float]:
    torch.set_num_threads(1)
    iterators = {name: iter(make(0)) for name, make in LOADERS.items()}
    seconds = dict.fromkeys(LOADERS, 0.0)
    for number in range(num_batches + 1):
        for name, batches in iterators.items():
            started = time.process_time()
            next(batches)
            seconds[name] += (time.process_time() - started) if number else 0.0  # the first warms up
    return {name: BATCH * num_batches / spent for name, spent in seconds.items()}


def per_second(make: Callable[[int], Iterable[object]]) -> float:
    batches = iter(make(options.workers))
    for _ in range(4 * options.workers):  # what had been prepared while nobody looked
        next(batches)
    started, num_images = time.perf_counter(), 0
    while time.perf_counter() - started < options.seconds:
        next(batches)
        num_images += BATCH
    return num_images / (time.perf_counter() - started)


LOADERS: dict[str, Callable[[int], Iterable[object]]] = {
    "ImageFolder, uint8": lambda workers: folder_loader(floats=False, num_workers=workers),
    "ImageFolder, float32 normalised": lambda workers: folder_loader(floats=True, num_workers=workers),
    "records (ours), uint8": our_loader,
}
by_core = per_core_second()
by_clock: dict[str, list[float]] = {name: [] for name in LOADERS}
for _ in range(options.rounds):
    for name, make in LOADERS.items():
        by_clock[name].append(per_second(make))
print(
    f"RandomResizedCrop {options.px}; images/s by the clock with {options.workers} workers, median of {options.rounds}"
)
for name in LOADERS:
    clock = f"{median(by_clock[name]):6.0f} images/s" if by_clock[name] else ""
    print(f"  {name:34s} {by_core[name]:6.0f} per core-second {clock}")
