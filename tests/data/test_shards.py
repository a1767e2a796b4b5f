"""Each kind of damage is found, and the message says which file, which record and which image."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.data.shards import SPLITS, RecordFolder, ShardWriter, classes_digest, write_index
from earthsnap_train.errors import IntegrityError

CLASSES = ("rosa-canina", "rosa-rugosa")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shards = {}
    for split in SPLITS:
        writer = ShardWriter(folder=tmp_path, split=split, classes=CLASSES)
        for number in range(4):
            writer.append(image_id=f"{split}-{number}", label=number % 2, image=f"picture {number} of {split}".encode())
        shards[split] = writer.finish()
    write_index(tmp_path, classes=CLASSES, shorter_px=32, jpeg_quality=92, shards=shards)
    return tmp_path


def test_the_index_is_written_as_its_format_says(folder: Path) -> None:
    golden = Path(__file__).parent / "golden" / "index.json"
    assert (folder / "index.json").read_text() == golden.read_text()


def flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 128
    path.write_bytes(data)


def test_records_are_read_by_position(folder: Path) -> None:
    record = RecordFolder.open(folder).shards["val"].read(2)
    assert (record.image, record.label, record.record_id) == (b"picture 2 of val", 0.0, 2)


def test_a_flipped_bit_names_shard_record_and_image(folder: Path) -> None:
    flip_bit(folder / "val.rec", 90)
    opened = RecordFolder.open(folder)
    with pytest.raises(IntegrityError, match=r"val\.rec: record 1 \(image val-1\) is not .*checksum differs"):
        opened.shards["val"].read(1)
    assert opened.shards["val"].read(0).image == b"picture 0 of val"


@pytest.mark.parametrize("name", ["train.rec", "val.idx", "test.lst"])
def test_any_flipped_bit_is_found_by_reading_everything(folder: Path, name: str) -> None:
    RecordFolder.open(folder).verify()
    whole = (folder / name).read_bytes()
    for position in range(len(whole)):
        flip_bit(folder / name, position)
        with pytest.raises(IntegrityError, match=name):
            RecordFolder.open(folder).verify()
        (folder / name).write_bytes(whole)


def test_a_picture_keeps_its_checksum_when_another_comes_before_it(tmp_path: Path) -> None:
    def checksums(*names: str) -> list[int]:
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        writer = ShardWriter(folder=folder, split="train", classes=CLASSES)
        for name in names:
            writer.append(image_id=name, label=0, image=name.encode())
        checksums: list[int] = writer.finish()["crc32s"]
        return checksums

    assert checksums("a", "b")[1:] == checksums("b")


def test_a_truncated_shard_names_the_first_record_that_is_lost(folder: Path) -> None:
    path = folder / "train.rec"
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(IntegrityError, match=r"train\.rec: truncated: .*record 2 \(image train-2\) is the first"):
        RecordFolder.open(folder)


def test_bytes_after_the_last_record_are_found(folder: Path) -> None:
    with (folder / "test.rec").open("ab") as file:
        file.write(b"more")
    with pytest.raises(IntegrityError, match=r"test\.rec: 4 bytes follow the last record"):
        RecordFolder.open(folder)


@pytest.mark.parametrize("name", ["train.rec", "val.idx", "test.lst"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(IntegrityError, match=f"{name}: the file is missing"):
        RecordFolder.open(folder)


def test_a_missing_index_is_named(folder: Path) -> None:
    (folder / "index.json").unlink()
    with pytest.raises(IntegrityError, match=r"index\.json: the index is missing"):
        RecordFolder.open(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text[:-30], "cannot be read"),
        (lambda text: text.replace("train-3", "train-4"), "its own checksum differs"),
        (lambda text: text.replace('"version":1', '"version":2'), "not an index of records that this version reads"),
        (lambda text: "[]", "not an index of records"),
    ],
)
def test_an_index_that_was_changed_is_refused(folder: Path, edit: Callable[[str], str], message: str) -> None:
    path = folder / "index.json"
    path.write_text(edit(path.read_text()))
    with pytest.raises(IntegrityError, match=message):
        RecordFolder.open(folder)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (("rosa-rugosa", "rosa-canina"), "class 0 is 'rosa-canina' in these records and 'rosa-rugosa' here"),
        (("rosa-canina",), "agree for 1 classes; then these records go on with 'rosa-rugosa'"),
        ((*CLASSES, "rosa-gallica"), "agree for 2 classes; then the list here goes on with 'rosa-gallica'"),
    ],
)
def test_another_class_list_is_refused_by_name(folder: Path, expected: tuple[str, ...], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        RecordFolder.open(folder, classes=expected)


def test_the_digest_of_a_class_list_depends_on_its_order() -> None:
    assert classes_digest(CLASSES) != classes_digest(CLASSES[::-1])


def test_an_open_shard_can_be_handed_to_another_process(folder: Path) -> None:
    shard = RecordFolder.open(folder).shards["train"]
    shard.read(0)
    assert pickle.loads(pickle.dumps(shard)).read(3).image == b"picture 3 of train"
