"""Reading every file once, and none that is known."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from earthsnap_train.context import Context, Resources
from earthsnap_train.data.qa.facts import Facts
from earthsnap_train.data.qa.facts_table import made_with, write_facts
from earthsnap_train.data.qa.look import look_at
from earthsnap_train.data.scan import FileStat, scan

PATHS = [f"{number}.jpg" for number in range(8)]


@pytest.fixture
def folder(tmp_path: Path, photo: Callable[..., Image.Image]) -> Path:
    root = tmp_path / "photographs"
    root.mkdir()
    for number, path in enumerate(PATHS):
        photo(number, 80, 64).save(root / path)
    (root / PATHS[-1]).write_bytes(b"no photograph")
    return root


def _look(root: Path, tmp_path: Path, *, workers: int = 1, previous: Path | None = None) -> dict[str, Facts]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    context = Context(scratch=scratch, previous=previous, resources=Resources(workers=workers))
    return look_at(root, PATHS, scan(root).photographs, max_megapixels=178, context=context)


def _overwrite_unnoticed(root: Path) -> dict[str, FileStat]:
    """Other bytes of the same size and time: whoever reads them would see."""
    files = scan(root).photographs
    for path, file in files.items():
        (root / path).write_bytes(bytes(file.size))
        os.utime(root / path, ns=(file.mtime_ns, file.mtime_ns))
    return files


def test_the_facts_are_the_same_whatever_the_number_of_workers(folder: Path, tmp_path: Path) -> None:
    alone = _look(folder, tmp_path, workers=1)
    assert alone == _look(folder, tmp_path, workers=3)
    assert [facts.refused for facts in alone.values()] == [None] * 7 + ["not_an_image"]


def test_files_that_the_previous_artifact_knows_are_not_read(folder: Path, tmp_path: Path) -> None:
    facts = _look(folder, tmp_path)
    (tmp_path / "previous/notes").mkdir(parents=True)
    known = tmp_path / "previous/notes/facts.parquet"
    files = _overwrite_unnoticed(folder)
    write_facts(known, facts, files, made_with=made_with(178))
    assert _look(folder, tmp_path, previous=tmp_path / "previous") == facts


def test_facts_made_with_something_else_are_measured_again(folder: Path, tmp_path: Path) -> None:
    facts = _look(folder, tmp_path)
    (tmp_path / "previous/notes").mkdir(parents=True)
    files = _overwrite_unnoticed(folder)
    write_facts(tmp_path / "previous/notes/facts.parquet", facts, files, made_with="another Pillow")
    assert {one.refused for one in _look(folder, tmp_path, previous=tmp_path / "previous").values()} == {"not_an_image"}


def test_a_run_that_was_killed_goes_on_from_what_it_had_measured(folder: Path, tmp_path: Path) -> None:
    facts = _look(folder, tmp_path)
    files = _overwrite_unnoticed(folder)
    half = {path: facts[path] for path in PATHS[:4]}
    write_facts(tmp_path / "scratch/facts-00000.parquet", half, files, made_with=made_with(178))
    again = _look(folder, tmp_path)
    assert {path: again[path] for path in PATHS[:4]} == half
    assert {again[path].refused for path in PATHS[4:]} == {"not_an_image"}


def test_a_part_that_a_kill_left_half_written_is_not_believed(folder: Path, tmp_path: Path) -> None:
    facts = _look(folder, tmp_path)
    (tmp_path / "scratch/facts-00000.parquet").write_bytes(b"PAR1 and then nothing")
    assert _look(folder, tmp_path) == facts


def test_a_file_that_vanished_since_it_was_listed_is_a_finding_and_no_failure(folder: Path, tmp_path: Path) -> None:
    files = scan(folder).photographs
    (folder / PATHS[0]).unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    facts = look_at(folder, PATHS, files, max_megapixels=178, context=Context(scratch=scratch))
    assert (facts[PATHS[0]].refused, facts[PATHS[1]].refused) == ("undecodable", None)
