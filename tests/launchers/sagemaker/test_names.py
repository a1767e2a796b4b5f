"""Names fit the service, can be read, and never stand for two things."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchers.sagemaker.names import PIPELINE, distinct, short

TAKEN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")  # by CreatePipeline


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("plants-data", "plants-data"),
        ("plants-child/rosa", "plants-child-rosa"),
        ("my.plants-flat", "my-plants-flat"),
        ("x" * 63, "x" * 63),
    ],
)
def test_a_name_that_fits_stays_as_it_is_read(name: str, known_as: str) -> None:
    assert short(name, 63) == known_as


def test_a_name_that_is_too_long_keeps_its_beginning_and_gets_a_digest() -> None:
    names = [short(f"{'x' * 70}{end}", 63) for end in "ab"]

    assert [len(name) for name in names] == [63, 63]
    assert all(re.fullmatch(r"x{54}-[0-9a-f]{8}", name) for name in names)
    assert names[0] != names[1]


def test_two_names_that_would_be_one_are_told_apart() -> None:
    found = distinct(["plants-child/a", "plants-child.a", "plants-data"], 63)

    assert found["plants-data"] == "plants-data"
    assert len(set(found.values())) == 3


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9_./-]{0,80}", fullmatch=True), min_size=1, max_size=8, unique=True))
def test_the_service_takes_every_name_and_no_two_are_one(names: list[str]) -> None:
    found = distinct(names, PIPELINE)

    assert len(set(found.values())) == len(names)
    assert all(len(name) <= PIPELINE and TAKEN.fullmatch(name) for name in found.values())
