"""The folder and the record of a sweep."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, IntegrityError, NotFoundError
from earthsnap_train.sweep.record import Job, held, new_sweep_folder, read_record
from tests.sweep.conftest import record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    sweep = record(Job(number=1, values={"training.lr": 0.1, "training.batch_size": 8}, state="done"))
    sweep.write(tmp_path)

    assert read_record(tmp_path) == sweep


def test_sweeps_that_start_in_one_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as starts:
        folders = set(starts.map(new_sweep_folder, [tmp_path / "sweeps" / "now"] * 16))

    assert len(folders) == 16


def test_nobody_else_may_look_into_a_sweeps_folder(tmp_path: Path) -> None:
    folder = new_sweep_folder(tmp_path / "sweeps" / "now")

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no sweep in"):
        read_record(tmp_path)


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"version": 1}')

    with pytest.raises(IntegrityError, match=r"sweep\.json: this is not what a sweep writes: name"):
        read_record(tmp_path)


def test_one_process_at_a_time_goes_on_with_a_sweep(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(ConfigError, match="this sweep is running already"), held(tmp_path):
        pass
    with held(tmp_path):
        pass
