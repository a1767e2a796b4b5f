"""A little group of photographs with their manifest and examples, as the stages before ``records`` leave them."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

CLASSES = ("rosa-canina", "rosa-rugosa", "sorbus-aria")


@dataclass(frozen=True)
class Group:
    """A folder with the ``inputs`` of the records stage, and the rows of its examples sorted by ``image_id``."""

    root: Path
    rows: list[dict[str, Any]]

    @property
    def inputs(self) -> dict[str, Path]:
        return {name: self.root / name for name in ("examples", "manifest", "photographs")}


def write_group(root: Path, *, num_images: int, seed: int, classes: tuple[str, ...] = CLASSES) -> Group:
    """Smooth random pictures: 70 % train, 15 % val, 15 % test; every species gets some."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for folder in ("examples", "manifest", "photographs"):
        (root / folder).mkdir(parents=True)
    for number in range(num_images):
        width, height = (int(side) for side in rng.integers(40, 90, size=2))
        coarse = Image.fromarray(rng.integers(0, 256, size=(5, 5, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "PNG")
        image_id = hashlib.sha256(buffer.getvalue()).hexdigest()
        (root / "photographs" / f"{number}.png").write_bytes(buffer.getvalue())
        split = ("train", "train", "val", "train", "test", "train", "train")[number % 7]
        label = number % len(classes)
        rows.append(
            {
                "image_id": image_id,
                "species_id": classes[label],
                "label": label,
                "split": split,
                "cluster_id": image_id,
                "uri": f"{number}.png",
                "format": "PNG",
            }
        )
    rows.sort(key=lambda row: row["image_id"])
    write_examples(root / "examples", rows)
    pq.write_table(
        pa.Table.from_pylist(rows).select(["image_id", "uri", "format"]), root / "manifest" / "manifest.parquet"
    )
    return Group(root=root, rows=rows)


def write_examples(folder: Path, rows: list[dict[str, Any]]) -> None:
    columns = ("image_id", "species_id", "label", "split", "cluster_id")
    table = pa.Table.from_pylist([{name: row[name] for name in columns} for row in rows])
    table = table.set_column(2, "label", table["label"].cast(pa.int32()))
    pq.write_table(table, folder / "examples.parquet")


@pytest.fixture
def make_group(tmp_path: Path) -> Callable[..., Group]:
    def make(name: str = "group", **changes: Any) -> Group:
        return write_group(tmp_path / name, **({"num_images": 28, "seed": 0} | changes))

    return make


@pytest.fixture
def group(make_group: Callable[..., Group]) -> Group:
    return make_group()
