"""Advice with the photographs that a person needs to judge it."""

from earthsnap_train.advice.figures import Advice
from earthsnap_train.evaluation.pictures import Album, ReadPhoto

MOST_SUSPECTS = 48  # with a picture; of more, every one is in the list
PX = 168
LARGEST_PAGE_BYTES = 1_600_000


def pictured(advice: Advice, read_photo: ReadPhoto) -> Advice:
    """Each suspect beside the clearest photograph of the species that it may be, and the two of every pair."""
    album = Album(read_photo, budget_bytes=LARGEST_PAGE_BYTES)
    clearest = {one.name.species_id: one.clearest for one in advice.species}
    portraits: dict[str, str | None] = {}

    def portrait(species: str) -> str | None:
        if species not in portraits:
            portraits[species] = album.picture(clearest[species], PX)
        return portraits[species]

    pairs = [
        pair.model_copy(
            update={
                "first_portrait": portrait(pair.first.species_id),
                "second_portrait": portrait(pair.second.species_id),
            }
        )
        for pair in advice.pairs
    ]
    suspects = [
        one.model_copy(update={"picture": album.picture(one.uri, PX), "portrait": portrait(one.suggested.species_id)})
        for one in advice.suspects[:MOST_SUSPECTS]
    ]
    return advice.model_copy(update={"pairs": tuple(pairs), "suspects": (*suspects, *advice.suspects[MOST_SUSPECTS:])})
