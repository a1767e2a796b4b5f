"""The page shows what was found, to people, in one file."""

import re
from pathlib import Path

from earthsnap_train.advice.figures import Advice
from earthsnap_train.advice.page import render
from earthsnap_train.advice.pictured import pictured


def test_it_names_every_grouping_suspect_pair_and_the_command(advice: Advice) -> None:
    page = render(advice, folder="advice/x", use="earthsnap name=x grouping=by_rank")

    for one in advice.groupings:
        assert one.name in page
    for text in ("advice/x/suspects.csv", "not separated", "earthsnap name=x grouping=by_rank", "84.0%"):
        assert text in page


def test_it_asks_for_nothing_from_elsewhere(advice: Advice) -> None:
    page = render(advice, folder="x", use="")

    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "<script" not in page


def test_names_of_files_cannot_break_it(advice: Advice) -> None:
    nasty = advice.suspects[0].model_copy(update={"uri": "<script>x</script>.jpg", "picture": "data:,"})
    page = render(advice.model_copy(update={"suspects": (nasty,)}), folder="x", use="")

    assert "<script" not in page


def test_advice_without_suspects_scarce_species_and_pairs_says_so(advice: Advice) -> None:
    page = render(advice.model_copy(update={"suspects": (), "species": (), "pairs": ()}), folder="x", use="")

    for text in ("No label looks wrong.", "Of every species there are enough", "No two species are mixed up"):
        assert text in page


def test_a_suspect_stands_beside_the_clearest_photograph_of_what_it_may_be(advice: Advice, shot: Path) -> None:
    asked: list[str] = []

    def read_photo(uri: str) -> bytes | None:
        asked.append(uri)
        return None if uri == "gone.jpg" else shot.read_bytes()

    found = pictured(advice, read_photo)

    assert found.suspects[0].picture is not None
    assert found.suspects[0].portrait is not None
    assert "birch-clearest.jpg" in asked
    assert asked.count("birch-clearest.jpg") == 1
    assert found.suspects[1].picture is None  # the photograph is gone
