"""Photographs in, a checked, split and versioned manifest out."""

import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from earthsnap_train.context import Context, Resources
from earthsnap_train.data.ingest import run
from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    TAXONOMY_FILE,
    ManifestRow,
    read_header,
    read_manifest,
    read_quarantine,
)
from earthsnap_train.data.originals import original_reader
from earthsnap_train.errors import DataError, IntegrityError, NotFoundError, TaxonomyError
from earthsnap_train.taxonomy.tree import Taxonomy

CONF = Path(__file__).parents[2] / "conf" / "dataset"
SPECIES = ("rosales/dog-rose", "rosales/field-rose", "liliales/lily")
DIGESTED = (MANIFEST_FILE, QUARANTINE_FILE, TAXONOMY_FILE, HEADER_FILE)


def _photo(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize((120, 96), Image.Resampling.BICUBIC)
        for cells in (5, 60)
    )
    return Image.blend(coarse, fine, 0.3)


def _save(image: Image.Image, path: Path, quality: int = 88) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", quality=quality)


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """3 species of 2 orders, 12 photographs each, none of them with a fault."""
    root = tmp_path / "garden"
    for at, species in enumerate(SPECIES):
        for number in range(12):
            _save(_photo(100 * at + number), root / species / f"{number:02}.jpg")
    return root


def _settings(**changes: Any) -> dict[str, Any]:
    settings = yaml.safe_load((CONF / "base.yaml").read_text())
    del settings["reviews"]
    settings |= {
        "source": {"kind": "folder", "root": "", "ranks": ["order"], "species_table": None},
        "taxonomy": {"synonyms": {}, "strict": False, "on_conflict": "drop"},
        "min_images_per_species": 5,
    }
    settings["split"] |= {"min_per_species": 1}
    return settings | changes


def _ingest(
    root: Path, name: str = "out", *, inputs: Mapping[str, Path] | None = None, workers: int = 1, previous: Path | None = None,
    **changes: Any,
) -> Path:  # fmt: skip
    out, scratch = root.parent / name, root.parent / f"{name}-scratch"
    out.mkdir()
    scratch.mkdir()
    context = Context(scratch=scratch, previous=previous, resources=Resources(workers=workers))
    run(_settings(**changes), {"photographs": root} | dict(inputs or {}), out, context)
    return out


def _rows(out: Path) -> dict[str, ManifestRow]:
    return {row.uri: row for row in read_manifest(out / MANIFEST_FILE)}


def _quarantined(out: Path) -> set[tuple[str, str, str]]:
    return {(row.path, row.code, row.action) for row in read_quarantine(out / QUARANTINE_FILE)}


def _reviews(root: Path, *lines: str) -> dict[str, Path]:
    path = root.parent / "reviews.csv"
    path.write_text("\n".join(("path,decision,reason", *lines)) + "\n", "utf-8")
    return {"reviews": path}


def test_good_photographs_are_all_listed_with_species_split_and_size(garden: Path) -> None:
    out = _ingest(garden)
    rows = _rows(out)
    assert Counter(row.species_id for row in rows.values()) == {"dog-rose": 12, "field-rose": 12, "lily": 12}
    assert {row.split for row in rows.values()} == {"train", "val", "test"}
    row = rows["liliales/lily/03.jpg"]
    assert (row.width, row.height, row.format, row.source, row.version_id) == (120, 96, "JPEG", "folder", None)
    assert Taxonomy.read(out / TAXONOMY_FILE).get("lily").ranks == (("order", "liliales"),)
    header = read_header(out / HEADER_FILE)
    assert (header.num_images, header.num_species, header.num_quarantined_by_code) == (36, 3, {})


def test_the_same_bytes_give_the_same_artifact_anywhere_with_any_number_of_workers(
    garden: Path, tmp_path: Path
) -> None:
    (garden / "liliales/lily/03.jpg").write_bytes(b"broken")
    _save(_photo(0), garden / "rosales/dog-rose/again.jpg", quality=70)
    elsewhere = tmp_path / "elsewhere" / "moved"
    elsewhere.parent.mkdir()
    garden_copy = garden.rename(elsewhere)
    one, three = _ingest(garden_copy, "one"), _ingest(garden_copy, "three", workers=3)
    back = elsewhere.rename(garden)
    two = _ingest(back, "two", previous=one)
    for name in DIGESTED:
        assert (one / name).read_bytes() == (three / name).read_bytes() == (two / name).read_bytes()
        assert str(tmp_path).encode() not in (one / name).read_bytes()


def test_a_near_copy_leaves_and_the_larger_file_stays(garden: Path) -> None:
    _save(_photo(0).resize((90, 72)), garden / "rosales/dog-rose/small.jpg")
    out = _ingest(garden)
    assert _quarantined(out) == {("rosales/dog-rose/small.jpg", "duplicate_near", "drop_one")}


def test_of_a_chain_of_copies_the_first_that_stays_decides(garden: Path) -> None:
    for name in ("b", "c"):
        (garden / f"rosales/dog-rose/00 copy {name}.jpg").write_bytes((garden / "rosales/dog-rose/00.jpg").read_bytes())
    out = _ingest(garden)
    assert "rosales/dog-rose/00.jpg" in _rows(out)
    assert {code for _, code, _ in _quarantined(out)} == {"duplicate_exact"}
    assert len(_rows(out)) == 36


def test_one_picture_under_two_labels_waits_for_a_person_who_decides(garden: Path) -> None:
    wrong = garden / "liliales/lily/rose.jpg"
    _save(_photo(0), wrong, quality=75)
    pair = {
        ("liliales/lily/rose.jpg", "label_conflict", "review"),
        ("rosales/dog-rose/00.jpg", "label_conflict", "review"),
    }
    assert _quarantined(_ingest(garden, "undecided")) == pair
    out = _ingest(garden, "decided", inputs=_reviews(garden, "liliales/lily/rose.jpg,reject,a rose"))
    assert _quarantined(out) == {("liliales/lily/rose.jpg", "review_rejected", "reject")}
    assert "rosales/dog-rose/00.jpg" in _rows(out)


def test_the_same_bytes_kept_under_two_labels_are_listed_once(garden: Path) -> None:
    twin = garden / "liliales/lily/rose.jpg"
    twin.write_bytes((garden / "rosales/dog-rose/00.jpg").read_bytes())
    keep_both = _reviews(garden, "liliales/lily/rose.jpg,keep,", "rosales/dog-rose/00.jpg,keep,")
    out = _ingest(garden, inputs=keep_both)
    assert _quarantined(out) == {("liliales/lily/rose.jpg", "duplicate_exact", "drop_one")}


def test_what_waits_for_a_review_stays_out_until_it_is_kept_or_relabelled(garden: Path) -> None:
    blurred = garden / "rosales/dog-rose/blurred.jpg"
    _save(_photo(999).filter(ImageFilter.GaussianBlur(9)), blurred)
    path = "rosales/dog-rose/blurred.jpg"
    assert _quarantined(_ingest(garden, "waiting")) == {(path, "blur", "review")}
    kept = _ingest(garden, "kept", inputs=_reviews(garden, f"{path},keep,a misty day"))
    assert _rows(kept)[path].species_id == "dog-rose"
    relabelled = _ingest(garden, "relabelled", inputs=_reviews(garden, f"{path},relabel:Lily,"))
    assert _rows(relabelled)[path].species_id == "lily"


def test_an_action_can_be_changed(garden: Path) -> None:
    path = "rosales/dog-rose/blurred.jpg"
    _save(_photo(999).filter(ImageFilter.GaussianBlur(9)), garden / path)
    qa = _settings()["qa"]
    qa["actions"]["blur"] = "keep"
    assert path in _rows(_ingest(garden, qa=qa))


def test_no_review_brings_back_what_cannot_be_read(garden: Path) -> None:
    path = "rosales/dog-rose/00.jpg"
    (garden / path).write_bytes(b"")
    out = _ingest(garden, inputs=_reviews(garden, f"{path},keep,please"))
    assert _quarantined(out) == {(path, "empty_file", "reject")}


def test_old_photographs_keep_their_split_and_stay_when_a_better_copy_comes(garden: Path) -> None:
    first = _ingest(garden, "first")
    before = {row.image_id: row.split for row in _rows(first).values()}
    for number in range(20):
        _save(_photo(5000 + number), garden / f"rosales/dog-rose/new-{number}.jpg")
    _save(_photo(0).resize((240, 192)), garden / "rosales/dog-rose/larger.jpg")
    second = _ingest(garden, "second", inputs={"base": first}, previous=first)
    after = {row.image_id: row.split for row in _rows(second).values()}
    assert len(after) == 36 + 20
    assert before.items() <= after.items()
    assert _quarantined(second) == {("rosales/dog-rose/larger.jpg", "duplicate_near", "drop_one")}


def test_copies_on_two_sides_of_the_users_own_split_are_a_leak_and_the_test_photograph_stays(garden: Path) -> None:
    _save(_photo(0), garden / "rosales/dog-rose/leak.jpg", quality=95)
    paths = sorted(path.relative_to(garden).as_posix() for path in garden.rglob("*.jpg"))
    side = {"rosales/dog-rose/00.jpg": "test", "rosales/dog-rose/01.jpg": "val"}
    table = garden.parent / "labels.csv"
    lines = (f"{path},{path.split('/')[1]},{side.get(path, 'train')}" for path in paths)
    table.write_text("\n".join(("path,species,split", *lines)), "utf-8")
    columns = dict.fromkeys(
        ("scientific_name", "common_name", "observation_id", "licence", "attribution", "ranks")
    ) | {"path": "path", "species": "species", "split": "split"}  # fmt: skip
    source = {"kind": "table", "root": "", "table": "", "columns": columns, "ranks": []}
    out = _ingest(garden, inputs={"table": table}, source=source)
    assert _quarantined(out) == {("rosales/dog-rose/leak.jpg", "leak_across_splits", "drop_one")}
    assert {path: row.split for path, row in _rows(out).items() if row.split != "train"} == side


def test_a_species_under_two_parents_loses_the_fewer_or_stops_the_run(garden: Path) -> None:
    _save(_photo(777), garden / "rosales/lily/x.jpg")
    out = _ingest(garden, "dropped")
    assert _quarantined(out) == {("rosales/lily/x.jpg", "hierarchy_conflict", "review")}
    stop = {"synonyms": {}, "strict": False, "on_conflict": "stop"}
    with pytest.raises(TaxonomyError, match="lily"):
        _ingest(garden, "stopped", taxonomy=stop)


def test_spellings_of_one_species_are_one_and_the_rarer_is_pointed_out(garden: Path) -> None:
    _save(_photo(777), garden / "rosales/Dog Rose/x.jpg")
    out = _ingest(garden)
    assert _rows(out)["rosales/Dog Rose/x.jpg"].species_id == "dog-rose"
    findings = json.loads((out / "notes/qa.json").read_text())["findings"]
    variants = [finding["path"] for finding in findings if finding["code"] == "class_name_variant"]
    assert variants == ["rosales/Dog Rose/x.jpg"]


def test_a_species_with_too_few_photographs_stops_the_run_and_says_why(garden: Path) -> None:
    for number in range(9):
        (garden / f"liliales/lily/{number:02}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"lily: 3 of 12 \(empty_file 9\)(.|\n)*dataset\.too_few=drop"):
        _ingest(garden, "stop")
    out = _ingest(garden, "drop", too_few="drop")
    assert read_header(out / HEADER_FILE).num_species == 2
    assert [one.species_id for one in Taxonomy.read(out / TAXONOMY_FILE).species] == ["dog-rose", "field-rose"]
    assert ("liliales/lily/11.jpg", "too_few", "reject") in _quarantined(out)


def test_a_limit_is_kept_before_anything_is_read(garden: Path) -> None:
    (garden / "rosales/field-rose/00.jpg").write_bytes(b"never looked at")
    out = _ingest(garden, limit={"species": 2, "photos_per_species": 8})
    assert Counter(row.species_id for row in _rows(out).values()) == {"dog-rose": 8, "lily": 8}
    assert _quarantined(out) == set()


@pytest.mark.parametrize("how", ["copy", "hardlink"])
def test_a_version_that_keeps_its_originals_outlives_its_source(garden: Path, how: str) -> None:
    out = _ingest(garden, keep_originals=how)
    row = _rows(out)["liliales/lily/03.jpg"]
    data = (garden / row.uri).read_bytes()
    read = original_reader(out, garden)
    (garden / row.uri).unlink()
    assert read(row.image_id) == data


def test_without_originals_a_changed_and_a_lost_photograph_are_each_named(garden: Path) -> None:
    out = _ingest(garden)
    changed, gone = _rows(out)["liliales/lily/03.jpg"], _rows(out)["liliales/lily/04.jpg"]
    read = original_reader(out, garden)
    _save(_photo(31337), garden / changed.uri)
    (garden / gone.uri).unlink()
    with pytest.raises(IntegrityError, match=r"lily/03\.jpg: the photograph was changed"):
        read(changed.image_id)
    with pytest.raises(NotFoundError, match=r"lily/04\.jpg: the photograph is gone"):
        read(gone.image_id)


def test_the_report_is_one_file_that_tells_what_was_found_and_carries_no_metadata(garden: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    _photo(42).save(buffer, "JPEG", exif=exif)
    (garden / "rosales/dog-rose/<b>place & time.jpg").write_bytes(buffer.getvalue())
    (garden / "liliales/lily/00.jpg").write_bytes(b"<html>")
    out = _ingest(garden)
    page = (out / "notes/qa.html").read_text("utf-8")
    assert "36 of 37 photographs are good" in page
    assert "rosales/dog-rose/&lt;b&gt;place &amp; time.jpg" in page
    assert "<b>place" not in page
    assert "data:image/jpeg" in page
    assert not [word for word in ("http://", "https://", 'src="/', str(garden)) if word in page]
    codes = {finding["code"] for finding in json.loads((out / "notes/qa.json").read_text())["findings"]}
    assert {"not_an_image", "private_metadata", "file_name"} <= codes
