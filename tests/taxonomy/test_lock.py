import os
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, DataError
from earthsnap_train.taxonomy.grouping import Grouping
from earthsnap_train.taxonomy.lock import lock_path, read_lock, write_lock

GROUPING = Grouping(group_of={"tulip": "lilies", "dog-rose": "roses", "lily": "lilies"}, made_by="by_rank: order")
TEXT = """\
version: 1
family: plants
made_by: "by_rank: order"
species:
  tulip: lilies
  dog-rose: roses
  lily: lilies
"""


def test_a_lock_reads_as_a_person_would_write_it(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "groupings", "plants")
    write_lock(path, GROUPING, family="plants")
    lines = path.read_text().splitlines(keepends=True)
    assert path.name == "plants.lock.yaml"
    assert "".join(line for line in lines if not line.startswith("#")) == TEXT
    assert lines[0] == "# Which species share a child network. Commit this file.\n"


def test_a_lock_reads_back_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "plants.lock.yaml"
    write_lock(path, GROUPING, family="plants")
    grouping = read_lock(path, family="plants")
    assert grouping == GROUPING
    assert list(grouping.group_of) == ["tulip", "dog-rose", "lily"]


def test_names_that_yaml_would_take_for_something_else_survive(tmp_path: Path) -> None:
    names = ["no", "on", "y", "null", "true", "123", "1e5", "0x1f", "2024-01-01", "1-2", "nordic-no"]
    grouping = Grouping(group_of=dict.fromkeys(names, "off"))
    write_lock(tmp_path / "lock", grouping, family="yes")
    assert read_lock(tmp_path / "lock", family="yes") == grouping


def test_there_is_no_lock_before_the_first_run(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "plants.lock.yaml", family="plants") is None


def test_a_comment_of_the_user_does_not_hinder_reading(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(TEXT.replace("roses\n", "roses  # moved by hand\n"))
    assert read_lock(tmp_path / "lock", family="plants") == GROUPING


def test_an_interrupted_write_leaves_the_old_lock_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plants.lock.yaml"
    write_lock(path, GROUPING, family="plants")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_lock(path, Grouping(group_of={"a": "b"}), family="plants")
    assert read_lock(path, family="plants") == GROUPING
    assert [one.name for one in tmp_path.iterdir()] == ["plants.lock.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a lock"),
        ("species: []\nversion: 1", "not a lock"),
        (TEXT.replace("1", "one", 1), "not a lock"),
        (TEXT + "extra: 1\n", "unknown key 'extra'"),
        (TEXT.replace("plants", "animals"), "of the family 'animals'"),
        (TEXT + "  Tulip: lilies\n", "'Tulip' is not an identifier"),
        (TEXT + "  123: lilies\n", "in quotes"),
        (TEXT + "  rush: [lilies]\n", "not an identifier"),
        (TEXT + "  lily: roses\n", r"lock:8: 'lily' stands there twice"),
        (TEXT + "  rush lilies\n", "lock:"),
        (TEXT + "<<<<<<< HEAD\n  rush: lilies\n=======\n", "unresolved merge conflict"),
    ],
)
def test_a_malformed_lock_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lock").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_lock(tmp_path / "lock", family="plants")


def test_a_lock_of_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(TEXT.replace("version: 1", "version: 2"))
    with pytest.raises(DataError, match="format 2"):
        read_lock(tmp_path / "lock", family="plants")
