import csv
import io
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from earthsnap_train.context import Context, Resources, Silence
from earthsnap_train.data.flora.draw import run
from earthsnap_train.data.flora.species import catalogue


class Heard(Silence):
    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def progress(self, done: int, total: int, unit: str) -> None:
        self.done.append((done, total))


def drawn(declared, folder: Path, *, workers: int = 1, events: Silence | None = None) -> Path:
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    context = Context(scratch=scratch, resources=Resources(workers=workers), events=events or Silence())
    run(declared.model_dump(), {}, out, context)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_labels_and_photographs_agree(flora, tmp_path):
    declared = flora()
    out = drawn(declared, tmp_path)
    labels = table(out / "labels.csv")
    assert [row["path"] for row in labels] == sorted(row.path for row in catalogue(declared))
    assert {row["path"] for row in labels} == set(contents(out / "photographs"))
    first = catalogue(declared)[0]
    assert next(row for row in labels if row["path"] == first.path) == {
        "path": first.path,
        "species": first.species_id,
        "scientific_name": first.scientific_name,
        "common_name": first.common_name,
        "observation_id": first.observation_id,
        **dict(first.ranks),
    }
    assert table(out / "faults.csv") == []


@pytest.mark.slow
def test_number_of_workers_changes_no_byte(flora, tmp_path):
    declared = flora(plants_per_species=5, faults={"duplicates": 0.1, "corrupt": 0.1, "wrong_labels": 0.1})
    assert contents(drawn(declared, tmp_path / "one")) == contents(drawn(declared, tmp_path / "three", workers=3))


def test_killed_drawing_goes_on_where_it_stopped(flora, tmp_path):
    declared = flora(plants_per_species=5)
    whole = contents(drawn(declared, tmp_path / "whole"))

    class KillError(Exception):
        pass

    class Killing(Silence):
        def progress(self, done: int, total: int, unit: str) -> None:
            if 0 < done < total:
                raise KillError

    folder = tmp_path / "killed"
    with pytest.raises(KillError):
        drawn(declared, folder, events=Killing())
    (folder / "out").rmdir()
    heard = Heard()
    again = drawn(declared, folder, events=heard)
    assert heard.done[0][0] > 0
    assert heard.done[-1] == (60, 60)
    assert contents(again) == whole


def test_faults_are_what_the_table_says(flora, tmp_path):
    out = drawn(flora(plants_per_species=5, faults={"duplicates": 0.1, "corrupt": 0.1, "wrong_labels": 0.1}), tmp_path)
    photographs = contents(out / "photographs")
    clean = contents(drawn(flora(plants_per_species=5), tmp_path / "clean") / "photographs")
    faults = table(out / "faults.csv")
    assert len(faults) == 18
    for row in faults:
        data = photographs[row["path"]]
        match row["detail"]:
            case "exact_copy":
                assert data == clean[row["related"]]
            case "reencoded":
                assert data != clean[row["related"]]
                assert Image.open(io.BytesIO(data)).size == (48, 48)
            case "relabelled":
                assert data in [own for path, own in clean.items() if row["related"] in path]
                assert row["related"] not in row["path"]
            case "zero_bytes":
                assert data == b""
            case "truncated":
                with pytest.raises(OSError, match="truncated"):
                    Image.open(io.BytesIO(data)).load()
            case "not_an_image":
                with pytest.raises(UnidentifiedImageError):
                    Image.open(io.BytesIO(data))
    faulty = {row["path"] for row in faults}
    assert all(data == clean[path] for path, data in photographs.items() if path not in faulty)
