"""Decisions that a person committed: what becomes of a photograph, whatever the checks say."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.table import read_table
from earthsnap_train.errors import DataError, did_you_mean

_KEY = "dataset.reviews"


@dataclass(frozen=True, kw_only=True)
class Review:
    """``decision``: ``keep``, ``reject``, or ``relabel`` with the ``species`` that the photograph shows."""

    decision: str
    species: str | None
    reason: str


def read_reviews(path: Path | None) -> dict[str, Review]:
    """By path or image id, as the file has it. Raises DataError for a column or a decision that is not known."""
    if path is None:
        return {}
    table = read_table(path, key=_KEY)
    names = [name for name in ("path", "image_id") if name in table.columns]
    if not names:
        table.column("path", key=_KEY)  # raises
    decisions = table.column("decision", key=_KEY)
    reasons = table.columns.get("reason", ("",) * len(table))
    reviews: dict[str, Review] = {}
    for at, written in enumerate(decisions):
        photograph = next((table.columns[name][at] for name in names if table.columns[name][at]), "")
        if not photograph:
            raise DataError(f"row {at + 2} of {path.name} names no photograph", where=_KEY)
        review = _review(written, reasons[at])
        if reviews.setdefault(photograph, review).decision != review.decision:
            raise DataError(f"two decisions about {photograph!r}", where=_KEY, remedy="Keep one of the two rows.")
    return reviews


def species_named(reviews: Mapping[str, Review], ids: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Path or image id -> species id, of those relabelled. ``ids``: species id of each name. Raises DataError."""
    relabelled = {}
    for photograph, review in reviews.items():
        if review.species is not None:
            species_id = ids[review.species]
            if species_id not in known:
                raise DataError(
                    f"{review.species!r}, to which {photograph!r} is relabelled, is no species of this dataset",
                    where=_KEY,
                    remedy=did_you_mean(species_id, known) or "Take a name that the dataset has.",
                )
            relabelled[photograph] = species_id
    return relabelled


def by_path(reviews: Mapping[str, Review], image_ids: Mapping[str, str]) -> dict[str, Review]:
    """Of every photograph that has a review, under its path or its image id (``image_ids``: by path)."""
    found = {path: reviews.get(path) or reviews.get(image_id) for path, image_id in image_ids.items()}
    return {path: review for path, review in found.items() if review is not None}


def about_reviews(written: Mapping[str, Review], reviews: Mapping[str, Review]) -> Iterator[Finding]:
    """Rejections, and decisions about photographs that are not there. ``reviews``: by path."""
    for path, review in reviews.items():
        if review.decision == "reject":
            yield Finding(code="review_rejected", path=path, detail=review.reason)
    used = {id(review) for review in reviews.values()}
    for photograph, review in written.items():
        if id(review) not in used:
            yield Finding(code="unused_review", path=photograph, detail=review.decision)


def _review(written: str, reason: str) -> Review:
    decision, _, species = written.strip().partition(":")
    if decision in ("keep", "reject") and not species:
        return Review(decision=decision, species=None, reason=reason)
    if decision == "relabel" and species.strip():
        return Review(decision=decision, species=species.strip(), reason=reason)
    raise DataError(
        f"{written!r} is no decision",
        where=_KEY,
        allowed="keep, reject, relabel:SPECIES",
        remedy=did_you_mean(decision, ("keep", "reject", "relabel")),
    )
