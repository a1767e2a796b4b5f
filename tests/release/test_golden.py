"""Which answers to its golden photographs a server of a release may give."""

from typing import Any

from earthsnap_train.release.golden import Photograph, difference, may_be_first

TOP = [["rosa-canina", 0.3], ["quercus-ilex", 0.4], ["rosa-rugosa", 0.2]]
LIKELIEST = {"top": [TOP[1], TOP[0], TOP[2]]}
NEAREST = {"top": TOP, "nearly_first": [["rosa-canina", 0.0], ["rosa-rugosa", 0.01], ["quercus-ilex", 0.12]]}


def photograph(golden: dict[str, Any], tolerance: float) -> Photograph:
    return Photograph(
        name="a.jpg", data=b"", species_id="rosa-canina", top=[(species, p) for species, p in golden["top"]],
        may_be_first=may_be_first(golden, tolerance), tolerance=tolerance,
    )  # fmt: skip


def answer(first: str) -> dict[str, Any]:
    """The evaluated probabilities, with this name first."""
    named = sorted(TOP, key=lambda one: one[0] != first)
    return {"species": [{"species_id": species, "probability": p} for species, p in named]}


def first_names(golden: dict[str, Any], tolerance: float) -> set[str]:
    one = photograph(golden, tolerance)
    return {species for species, _ in TOP if difference(one, answer(species)) is None}


def test_of_likeliest_names_those_nearly_as_likely_may_come_first() -> None:
    assert first_names(LIKELIEST, 0.02) == {"quercus-ilex"}
    assert first_names(LIKELIEST, 0.15) == {"quercus-ilex", "rosa-canina"}


def test_of_nearest_names_those_nearly_as_near_may_come_first_and_not_whichever_is_likelier() -> None:
    assert first_names(NEAREST, 0.005) == {"rosa-canina"}
    assert first_names(NEAREST, 0.02) == {"rosa-canina", "rosa-rugosa"}
    assert first_names(NEAREST, 0.15) == {"rosa-canina", "rosa-rugosa", "quercus-ilex"}


def test_what_differs_is_said() -> None:
    said = difference(photograph(NEAREST, 0.02), answer("quercus-ilex"))
    assert said == "golden photograph a.jpg: rosa-canina was evaluated, quercus-ilex was answered"
