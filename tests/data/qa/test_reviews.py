"""A person's decisions, as a table says them."""

from pathlib import Path

import pytest

from earthsnap_train.data.qa.reviews import about_reviews, by_path, read_reviews, species_named
from earthsnap_train.errors import DataError

IMAGE_ID = "ab" * 32


def _read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "reviews.csv"
    path.write_text(text, "utf-8")
    return dict(read_reviews(path))


def test_without_a_file_there_are_no_reviews() -> None:
    assert read_reviews(None) == {}


def test_a_photograph_is_named_by_its_path_or_by_its_image_id(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(f"path,image_id,decision\na.jpg,,keep\n,{IMAGE_ID},reject\nold.jpg,,keep\n")
    written = read_reviews(tmp_path / "reviews.csv")
    reviews = by_path(written, {"a.jpg": "00" * 32, "b.jpg": IMAGE_ID, "c.jpg": "11" * 32})
    assert {path: review.decision for path, review in reviews.items()} == {"a.jpg": "keep", "b.jpg": "reject"}
    assert [(one.code, one.path) for one in about_reviews(written, reviews)] == [
        ("review_rejected", "b.jpg"),
        ("unused_review", "old.jpg"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,decision\na.jpg,kepp\n", r"'kepp' is no decision(.|\n)*relabel:SPECIES(.|\n)*'keep'"),
        ("path,decision\na.jpg,relabel\n", "'relabel' is no decision"),
        ("path,verdict\na.jpg,keep\n", "no column 'decision'"),
        ("file,decision\na.jpg,keep\n", "no column 'path'"),
        ("path,decision\n,keep\n", "row 2 of reviews.csv names no photograph"),
        ("path,decision\na.jpg,keep\na.jpg,reject\n", "two decisions about 'a.jpg'"),
    ],
)
def test_reviews_that_cannot_be_followed_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _read(tmp_path, text)


def test_a_species_that_the_dataset_has_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("path,decision\na.jpg,relabel:Dog-Rse\n")
    reviews = read_reviews(tmp_path / "reviews.csv")
    with pytest.raises(DataError, match=r"'Dog-Rse'(.|\n)*Did you mean 'dog-rose'"):
        species_named(reviews, {"Dog-Rse": "dog-rse"}, {"dog-rose", "lily"})
