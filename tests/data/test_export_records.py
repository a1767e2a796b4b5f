from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.context import Context, Silence
from earthsnap_train.data import recordio, records
from earthsnap_train.data.export_records import export_records
from earthsnap_train.data.shards import SPLITS, RecordFolder
from earthsnap_train.errors import IntegrityError

ROSES, OAKS = ("rosa-canina", "rosa-rugosa"), ("quercus-ilex", "quercus-robur", "quercus-suber")


@pytest.fixture
def parent(make_group: Callable[..., Any], tmp_path: Path) -> dict[str, Any]:
    """What the export of a parent over two groups is given."""
    groups = [make_group("roses", seed=1, classes=ROSES), make_group("oaks", seed=2, classes=OAKS)]
    rows = [row | {"label": label} for label, group in enumerate(groups) for row in group.rows]
    pq.write_table(pa.Table.from_pylist(rows).sort_by("image_id"), tmp_path / "examples.parquet")
    for group, classes in zip(groups, (ROSES, OAKS), strict=True):
        (group.root / "records").mkdir()
        settings = {"shorter_px": 40, "jpeg_quality": 92, "max_megapixels": 1.0, "classes": list(classes)}
        records.run(settings, group.inputs, group.root / "records", Context(scratch=tmp_path))
    (tmp_path / "out").mkdir()
    return {
        "examples": tmp_path,
        "classes": ("roses", "oaks"),
        "folders": [group.root / "records" for group in groups],
        "out": tmp_path / "out",
        "events": Silence(),
    }


def test_the_pictures_are_the_stored_ones_under_the_nodes_own_labels(parent: dict[str, Any]) -> None:
    export_records(**parent)
    stored = {
        image_id: (label, shard.read(position).image)
        for label, folder in enumerate(parent["folders"])
        for shard in RecordFolder.open(folder).shards.values()
        for position, image_id in enumerate(shard.image_ids)
    }
    exported = {}
    for split in SPLITS:
        place = parent["out"] / f"{split}.rec"
        data = place.read_bytes()
        offsets = [offset for _, offset in recordio.read_idx(place.with_suffix(".idx"))]
        lines = [line.split("\t") for line in place.with_suffix(".lst").read_text().splitlines()]
        for start, stop, (key, label, path) in zip(offsets, [*offsets[1:], len(data)], lines, strict=True):
            record = recordio.decode(data[start:stop])
            assert (record.record_id, record.label) == (int(key), float(label))
            exported[Path(path).stem] = (int(record.label), record.image)
    assert exported == stored


def test_the_classes_are_listed_in_the_order_of_their_labels(parent: dict[str, Any]) -> None:
    export_records(**parent)
    assert (parent["out"] / "classes.txt").read_text() == "roses\noaks\n"


def test_a_group_that_was_left_out_is_noticed(parent: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="are in none of 1 folders of records"):
        export_records(**parent | {"folders": parent["folders"][:1]})
