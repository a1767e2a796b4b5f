"""What ``predict`` says of a photograph, in words."""

from collections.abc import Mapping
from typing import Any

import pytest

from earthsnap_train.verbs.predict import in_words

SPECIES = {"rank": "species", "name": "dog-rose", "scientific_name": "Rosa canina", "common_name": "dog rose"}
GENUS = {"rank": "genus", "name": "Rosa"}
FAMILY = {"rank": "family", "name": "Rosaceae"}
NOTHING = {"rank": None, "name": None, "scientific_name": None, "common_name": None, "probability": None}


def said(*, answer: Mapping[str, object], family: float, genus: float, species: float) -> dict[str, Any]:
    return {
        "answer": answer,
        "lineage": [
            FAMILY | {"probability": family},
            GENUS | {"probability": genus},
            SPECIES | {"probability": species},
        ],
    }


def test_a_certain_species_needs_no_more_words() -> None:
    answer = SPECIES | {"probability": 0.91}

    assert in_words(said(answer=answer, family=0.99, genus=0.95, species=0.91), 0.9) == "species Rosa canina, 91.0 %"


@pytest.mark.parametrize(
    ("answer", "shares", "words"),
    [
        (
            GENUS | {"scientific_name": "Rosa", "common_name": None, "probability": 0.95},
            (0.99, 0.95, 0.61),
            "genus Rosa, 95.0 %; the likeliest species, Rosa canina, has 61.0 %, and 90.0 % is asked for",
        ),
        (
            FAMILY | {"scientific_name": "Rosaceae", "common_name": None, "probability": 0.99},
            (0.99, 0.89996, 0.61),
            "family Rosaceae, 99.0 %; the likeliest genus, Rosa, has 89.996 %, and 90.000 % is asked for",
        ),
        (
            NOTHING,
            (0.4, 0.3, 0.2),
            "not recognised; the likeliest family, Rosaceae, has 40.0 %, and 90.0 % is asked for",
        ),
    ],
)
def test_what_is_no_species_says_what_was_not_certain_enough(
    answer: Mapping[str, object], shares: tuple[float, float, float], words: str
) -> None:
    family, genus, species = shares

    assert in_words(said(answer=answer, family=family, genus=genus, species=species), 0.9) == words
