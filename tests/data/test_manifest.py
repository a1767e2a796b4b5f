import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.data.manifest import (
    MANIFEST_SCHEMA,
    ManifestRow,
    QuarantineRow,
    dataset_version,
    header_of,
    read_header,
    read_manifest,
    read_quarantine,
    write_header,
    write_manifest,
    write_quarantine,
)
from earthsnap_train.errors import DataError, IntegrityError, NotFoundError

GOLDEN = Path(__file__).with_name("golden")
# What version 1 of the format has always given for ROWS; a change here makes every user's dataset a new version.
GOLDEN_VERSION = "015d55019ba50b8d9abb57f97779ede4600140b5c346c5b9355c76fdc8be7f29"

ROWS = (
    ManifestRow(
        image_id="ab" * 32,
        uri="rosales/rosa-canina/école, 1.jpg",
        species_id="rosa-canina",
        observation_id="plant 1",
        cluster_id="c1",
        split="train",
        width=640,
        height=480,
        format="JPEG",
        phash="00ff00ff00ff00ff",
        source="folder",
        licence="CC-BY-4.0",
        attribution="Ana Müller",
        version_id="v1",
    ),
    ManifestRow(
        image_id="0c" * 32,
        uri="rosales/rosa-rugosa/2.png",
        species_id="rosa-rugosa",
        observation_id=None,
        cluster_id="c2",
        split="test",
        width=32,
        height=33,
        format="PNG",
        phash="123456789abcdef0",
        source="folder",
        licence=None,
        attribution=None,
        version_id=None,
    ),
)
QUARANTINE = (
    QuarantineRow(path="b.jpg", code="truncated", severity="error", action="reject", related=None, detail="ends early"),
    QuarantineRow(
        path="a.jpg", code="duplicate_near", severity="warning", action="drop_one", related="c.jpg", detail=None
    ),
)


def test_a_manifest_reads_back_sorted_by_image(tmp_path: Path) -> None:
    write_manifest(ROWS, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet") == (ROWS[1], ROWS[0])


def test_equal_rows_in_any_order_give_equal_bytes_and_one_version(tmp_path: Path) -> None:
    rows = [replace(ROWS[0], image_id=f"{number:064x}") for number in range(50)]
    write_manifest(rows, tmp_path / "a.parquet")
    expected = dataset_version(rows)
    random.Random(1).shuffle(rows)
    write_manifest(rows, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert dataset_version(rows) == expected


def test_an_empty_manifest_reads_back_empty(tmp_path: Path) -> None:
    write_manifest((), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet") == ()


@pytest.mark.parametrize("field", ["uri", "source", "version_id"])
def test_a_version_does_not_depend_on_where_the_images_lie(field: str) -> None:
    assert dataset_version([replace(ROWS[0], **{field: "elsewhere"}), ROWS[1]]) == dataset_version(ROWS)


@pytest.mark.parametrize(
    "field", [name for name in MANIFEST_SCHEMA.names if name not in ("uri", "source", "version_id")]
)
def test_a_version_depends_on_everything_else(field: str) -> None:
    value = getattr(ROWS[0], field)
    other = value + 1 if isinstance(value, int) else f"{value}x"
    assert dataset_version([replace(ROWS[0], **{field: other}), ROWS[1]]) != dataset_version(ROWS)


def test_a_missing_value_and_an_empty_one_are_two_versions() -> None:
    assert dataset_version([replace(ROWS[1], licence="")]) != dataset_version([ROWS[1]])


def test_the_format_has_not_changed() -> None:
    assert read_manifest(GOLDEN / "manifest-1.parquet") == (ROWS[1], ROWS[0])
    assert read_quarantine(GOLDEN / "quarantine-1.parquet") == (QUARANTINE[1], QUARANTINE[0])
    assert dataset_version(ROWS) == GOLDEN_VERSION


def test_the_quarantine_reads_back_sorted_by_path(tmp_path: Path) -> None:
    write_quarantine(QUARANTINE, tmp_path / "q.parquet")
    assert read_quarantine(tmp_path / "q.parquet") == (QUARANTINE[1], QUARANTINE[0])


def test_a_header_counts_and_reads_back(tmp_path: Path) -> None:
    header = header_of(ROWS, QUARANTINE, {"min_px": 32})
    write_header(header, tmp_path / "manifest.json")
    assert read_header(tmp_path / "manifest.json") == header
    assert json.loads((tmp_path / "manifest.json").read_text()) == {
        "format_version": 1,
        "dataset_version": GOLDEN_VERSION,
        "num_images": 2,
        "num_species": 2,
        "num_images_by_split": {"train": 1, "val": 0, "test": 1},
        "num_quarantined_by_code": {"duplicate_near": 1, "truncated": 1},
        "qa": {"min_px": 32},
    }


def test_a_header_of_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format_version": 2, "unheard": "of"}')
    with pytest.raises(DataError, match="format 2"):
        read_header(tmp_path / "manifest.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}', '{"format_version": null}'])
def test_a_damaged_header_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"not a manifest\.json"):
        read_header(tmp_path / "manifest.json")


def test_a_manifest_of_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    table = pa.table({"image_id": ["a"]}).replace_schema_metadata({"earthsnap.format": "2"})
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(DataError, match="format 2"):
        read_manifest(tmp_path / "m.parquet")


def test_a_manifest_without_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    write_manifest(ROWS, tmp_path / "m.parquet")
    pq.write_table(pq.read_table(tmp_path / "m.parquet").drop_columns(["split"]), tmp_path / "m.parquet")
    with pytest.raises(IntegrityError, match="'split' is missing"):
        read_manifest(tmp_path / "m.parquet")


def test_a_table_that_another_program_wrote_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "m.parquet")
    with pytest.raises(IntegrityError, match="did not write"):
        read_manifest(tmp_path / "m.parquet")


def test_a_cut_manifest_is_refused(tmp_path: Path) -> None:
    write_manifest(ROWS, tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_bytes((tmp_path / "m.parquet").read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="damaged"):
        read_manifest(tmp_path / "m.parquet")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    for read in (read_manifest, read_quarantine, read_header):
        with pytest.raises(NotFoundError, match="gone"):
            read(tmp_path / "gone")
