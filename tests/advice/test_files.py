"""What is left in a folder can be read back by what it is meant for, and replaces nothing."""

from pathlib import Path

import pytest

from earthsnap_train.advice.figures import Advice
from earthsnap_train.advice.files import check_free, grouping_yaml, suspects_csv, write_files
from earthsnap_train.data.qa.reviews import read_reviews
from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.grouping import FromFile
from earthsnap_train.taxonomy.grouping import resolve_grouping
from earthsnap_train.taxonomy.tree import Taxonomy


def test_a_grouping_file_is_what_a_declaration_reads(tmp_path: Path, advice: Advice, taxonomy: Taxonomy) -> None:
    one = advice.groupings[0]
    write_files(tmp_path, {"look.yaml": grouping_yaml(advice, one)})
    decision = resolve_grouping(FromFile(kind="file", file="look.yaml"), taxonomy, None, folder=tmp_path)

    found = {group: decision.grouping.members(group) for group in decision.grouping.groups}
    assert found == one.groups


def test_suspects_are_reviews_that_keep_every_photograph_until_a_person_decides(tmp_path: Path, advice: Advice) -> None:
    file = tmp_path / "suspects.csv"
    file.write_text(suspects_csv(advice))
    reviews = read_reviews(file)

    assert list(reviews) == [one.uri for one in advice.suspects]
    assert {review.decision for review in reviews.values()} == {"keep"}


def test_a_suggestion_copied_over_the_decision_is_a_review(tmp_path: Path, advice: Advice) -> None:
    file = tmp_path / "suspects.csv"
    file.write_text(suspects_csv(advice).replace(",keep,", ",relabel:birch,", 1))
    first = next(iter(read_reviews(file).values()))

    assert ",relabel:birch," in suspects_csv(advice)  # it is what the file suggests
    assert (first.decision, first.species) == ("relabel", "birch")


def test_the_same_advice_may_be_written_again_and_other_advice_replaces_nothing(tmp_path: Path) -> None:
    write_files(tmp_path / "out", {"a.yaml": "a", "b.yaml": "b"})
    write_files(tmp_path / "out", {"a.yaml": "a", "b.yaml": "b"})

    with pytest.raises(ConfigError) as raised:
        write_files(tmp_path / "out", {"c.yaml": "c", "b.yaml": "other"})

    assert "b.yaml is there already and says something else" in str(raised.value)
    assert f"Give another folder, such as out={tmp_path / 'out-2'}" in str(raised.value)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.yaml", "b.yaml"]
    assert (tmp_path / "out" / "b.yaml").read_text() == "b"


@pytest.mark.parametrize("name", ["advice.html", "advice.json", "suspects.csv"])
def test_a_folder_with_advice_takes_no_other_and_a_free_one_is_named(tmp_path: Path, name: str) -> None:
    check_free(tmp_path / "plants")
    for folder in ("plants", "plants-2"):
        write_files(tmp_path / folder, {"by-look-9.yaml": "a", name: "b"})

    with pytest.raises(ConfigError) as raised:
        check_free(tmp_path / "plants")

    assert f"out: {tmp_path / 'plants' / name} is there already, of other advice" in str(raised.value)
    assert f"out={tmp_path / 'plants-3'}" in str(raised.value)


def test_groupings_of_ones_own_do_not_keep_advice_out(tmp_path: Path) -> None:
    write_files(tmp_path, {"mine.yaml": "a"})
    check_free(tmp_path)
