import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from earthsnap_train.context import Context, Resources
from earthsnap_train.data import records
from earthsnap_train.data.shards import SPLITS, RecordFolder
from earthsnap_train.errors import DataError, IntegrityError, NotFoundError

SETTINGS = {
    "shorter_px": 32,
    "jpeg_quality": 92,
    "max_megapixels": 1.0,
    "classes": ["rosa-canina", "rosa-rugosa", "sorbus-aria"],
}


def pack(group: Any, out: Path, previous: Path | None = None, workers: int = 1, **changes: object) -> Path:
    out.mkdir()
    context = Context(scratch=out, previous=previous, resources=Resources(workers=workers))
    records.run(SETTINGS | changes, group.inputs, out, context)
    return out


def contents(folder: Path, *, notes: bool = False) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and (notes or path.parent == folder)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_every_example_is_in_the_shard_of_its_split_under_its_label(group: Any, tmp_path: Path) -> None:
    folder = RecordFolder.open(pack(group, tmp_path / "out"))
    found = {
        (image_id, folder.classes[int(shard.read(position).label)], split)
        for split, shard in folder.shards.items()
        for position, image_id in enumerate(shard.image_ids)
    }
    assert found == {(row["image_id"], row["species_id"], row["split"]) for row in group.rows}
    folder.verify()


def test_pictures_are_shrunk_to_the_shorter_side_and_never_enlarged(group: Any, tmp_path: Path) -> None:
    originals = {row["image_id"]: group.root / "photographs" / row["uri"] for row in group.rows}
    shard = RecordFolder.open(pack(group, tmp_path / "out", shorter_px=60)).shards["train"]
    pairs = {
        (min(Image.open(originals[image_id]).size), min(Image.open(io.BytesIO(shard.read(position).image)).size))
        for position, image_id in enumerate(shard.image_ids)
    }
    assert all(stored == min(original, 60) for original, stored in pairs)
    assert {original > 60 for original, _ in pairs} == {True, False}


def test_a_jpeg_that_is_decoded_small_looks_like_one_that_was_decoded_whole(tmp_path: Path) -> None:
    # 750 / 8 is no whole number: decoded at 94 px at once, the picture would be shifted.
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((1000, 750), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    image_id = hashlib.sha256(buffer.getvalue()).hexdigest()
    row = {"image_id": image_id, "species_id": "rosa-canina", "label": 0, "split": "train", "cluster_id": "c"}
    inputs = {name: tmp_path / name for name in ("examples", "manifest", "photographs")}
    for folder in (*inputs.values(), tmp_path / "out"):
        folder.mkdir()
    pq.write_table(pa.Table.from_pylist([row]), inputs["examples"] / "examples.parquet")
    pq.write_table(
        pa.Table.from_pylist([row | {"uri": "a.jpg", "format": "JPEG"}]), inputs["manifest"] / "manifest.parquet"
    )
    (inputs["photographs"] / "a.jpg").write_bytes(buffer.getvalue())
    records.run(SETTINGS | {"shorter_px": 94}, inputs, tmp_path / "out", Context(scratch=tmp_path))
    stored = Image.open(io.BytesIO(RecordFolder.open(tmp_path / "out").shards["train"].read(0).image))
    whole = Image.open(io.BytesIO(records.encode_picture(Image.open(buffer), shorter_px=94, jpeg_quality=92)))
    assert np.abs(np.asarray(stored, float) - np.asarray(whole, float)).mean() < 2.5  # 4.2 at 94 px at once


def test_equal_inputs_give_equal_bytes_for_any_number_of_workers(group: Any, tmp_path: Path) -> None:
    assert contents(pack(group, tmp_path / "one")) == contents(pack(group, tmp_path / "three", workers=3))


def test_what_was_encoded_before_is_copied_without_opening_the_original(
    make_group: Callable[..., Any], tmp_path: Path
) -> None:
    small, grown = make_group("small"), make_group("grown", num_images=40)
    earlier = pack(small, tmp_path / "earlier")
    fresh = pack(grown, tmp_path / "fresh")
    for number in range(28):
        (grown.root / "photographs" / f"{number}.png").unlink()
    assert contents(pack(grown, tmp_path / "copied", previous=earlier), notes=True) == contents(fresh, notes=True)


@pytest.mark.parametrize("change", [{"jpeg_quality": 80}, {"shorter_px": 24}])
def test_records_made_otherwise_are_not_copied(group: Any, tmp_path: Path, change: dict[str, object]) -> None:
    earlier = pack(group, tmp_path / "earlier")
    after = contents(pack(group, tmp_path / "after", previous=earlier, **change))
    assert after == contents(pack(group, tmp_path / "fresh", **change))
    assert after["train.rec"] != contents(earlier)["train.rec"]


def test_records_of_an_older_recipe_are_not_copied(group: Any, tmp_path: Path) -> None:
    earlier = pack(group, tmp_path / "earlier")
    recipe = earlier / "notes" / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"pillow": "1.0"}))
    (group.root / "photographs" / "0.png").unlink()
    with pytest.raises(NotFoundError):
        pack(group, tmp_path / "after", previous=earlier)


def test_a_damaged_earlier_record_is_encoded_anew(group: Any, tmp_path: Path) -> None:
    earlier = pack(group, tmp_path / "earlier")
    fresh = contents(earlier)
    damaged = bytearray(fresh["train.rec"])
    damaged[100] ^= 1
    (earlier / "train.rec").write_bytes(damaged)
    assert contents(pack(group, tmp_path / "after", previous=earlier)) == fresh


def test_a_new_class_at_the_end_leaves_the_shards_as_they_are(group: Any, tmp_path: Path) -> None:
    before = contents(pack(group, tmp_path / "before"))
    after = contents(pack(group, tmp_path / "after", classes=[*SETTINGS["classes"], "sorbus-torminalis"]))  # type: ignore[misc]
    assert [name for name in before if before[name] != after[name]] == ["index.json"]


def test_a_split_without_photographs_is_an_empty_shard(make_group: Callable[..., Any], tmp_path: Path) -> None:
    folder = RecordFolder.open(pack(make_group(num_images=2), tmp_path / "out"))
    assert {split: len(folder.shards[split]) for split in SPLITS} == {"train": 2, "val": 0, "test": 0}
    folder.verify()


def test_stored_pictures_carry_no_metadata(group: Any, tmp_path: Path) -> None:
    place = Image.Exif()
    place[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0)}
    image = Image.new("RGB", (50, 50))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=place, comment=b"taken at home")
    stored = records.encode_picture(Image.open(buffer), shorter_px=40, jpeg_quality=92)
    assert not Image.open(io.BytesIO(stored)).getexif()
    assert b"taken at home" not in stored


def test_a_photograph_that_changed_since_ingest_is_refused(group: Any, tmp_path: Path) -> None:
    (group.root / "photographs" / "3.png").write_bytes(b"another picture")
    with pytest.raises(IntegrityError, match=r"3\.png: the photograph was changed after it had been checked"):
        pack(group, tmp_path / "out")


def test_a_photograph_that_is_gone_is_named(group: Any, tmp_path: Path) -> None:
    (group.root / "photographs" / "3.png").unlink()
    with pytest.raises(NotFoundError, match=r"3\.png: the photograph is gone"):
        pack(group, tmp_path / "out")


def test_a_photograph_that_can_no_longer_be_opened_is_named(group: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"photograph [0-9a-f]{64} passed its checks .* \(too_many_pixels\)"):
        pack(group, tmp_path / "out", max_megapixels=0.001)


def test_an_example_of_an_unknown_species_is_refused(group: Any, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="examples of 'sorbus-aria', which the class list does not have"):
        pack(group, tmp_path / "out", classes=["rosa-canina", "rosa-rugosa"])


def test_progress_reaches_the_number_of_photographs(group: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []

    class Listener:
        def progress(self, done: int, total: int, unit: str) -> None:
            seen.append((done, total, unit))

    context = Context(scratch=tmp_path, events=Listener())  # type: ignore[arg-type]
    (tmp_path / "out").mkdir()
    records.run(SETTINGS, group.inputs, tmp_path / "out", context)
    assert seen == [(done, 28, "images") for done in range(1, 29)]
