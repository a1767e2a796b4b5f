"""Known faults among the photographs, so that a person can see the checks find them. Pure Python."""

import random
from dataclasses import dataclass, replace
from typing import Literal

from earthsnap_train.data.flora.species import FloraPhotograph, catalogue, species_of
from earthsnap_train.spec.dataset import SyntheticFlora

Treatment = Literal["none", "exact_copy", "reencoded", "relabelled", "truncated", "zero_bytes", "not_an_image"]

_COPIES: tuple[Treatment, ...] = ("exact_copy", "reencoded")
_CORRUPTIONS: tuple[Treatment, ...] = ("truncated", "zero_bytes", "not_an_image")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One file to write. ``photograph`` is its row, as labelled; ``subject`` is what the picture shows.

    ``related``: the path of the original of a copy, the true species of a wrong label, else empty.
    """

    photograph: FloraPhotograph
    subject: FloraPhotograph
    treatment: Treatment = "none"
    related: str = ""

    @property
    def fault(self) -> str:
        """``duplicate``, ``wrong_label`` or ``corrupt``; empty where nothing is wrong."""
        if self.treatment in _COPIES:
            return "duplicate"
        if self.treatment in _CORRUPTIONS:
            return "corrupt"
        return "wrong_label" if self.treatment == "relabelled" else ""


def shots(flora: SyntheticFlora) -> tuple[Shot, ...]:
    """The catalogue with its faults, sorted by path. Duplicates are added; the other faults befall photographs."""
    photographs = catalogue(flora)
    draw = random.Random(f"{flora.seed}/faults")
    counts = [
        round(len(photographs) * share)
        for share in (flora.faults.wrong_labels, flora.faults.corrupt, flora.faults.duplicates)
    ]
    chosen = draw.sample(range(len(photographs)), sum(counts))
    wrong, corrupt, copied = (
        chosen[: counts[0]],
        chosen[counts[0] : counts[0] + counts[1]],
        chosen[counts[0] + counts[1] :],
    )
    found = {index: Shot(photograph=row, subject=row) for index, row in enumerate(photographs)}
    for index in wrong:
        found[index] = _relabelled(flora, photographs[index], draw)
    for number, index in enumerate(corrupt):
        found[index] = replace(found[index], treatment=_CORRUPTIONS[number % len(_CORRUPTIONS)])
    copies = [_copy(photographs[index], _COPIES[number % len(_COPIES)]) for number, index in enumerate(copied)]
    return tuple(sorted([*found.values(), *copies], key=lambda shot: shot.photograph.path))


def _copy(row: FloraPhotograph, treatment: Treatment) -> Shot:
    """The same picture handed in once more, as if of another plant."""
    again = replace(row, path=row.path.replace(".jpg", "-again.jpg"), observation_id=f"{row.observation_id}-again")
    return Shot(photograph=again, subject=row, treatment=treatment, related=row.path)


def _relabelled(flora: SyntheticFlora, row: FloraPhotograph, draw: random.Random) -> Shot:
    """The picture in another species' folder, under a name that no photograph of that species has."""
    everything = species_of(flora)
    wrong = everything[(row.species_index + draw.randrange(1, len(everything))) % len(everything)]
    name = f"{row.plant + 1}-{row.photo + 1}-{row.species_index}"
    labelled = replace(
        row,
        path=f"{wrong.folder}/{name}.jpg",
        species_id=wrong.species_id,
        scientific_name=wrong.scientific_name,
        common_name=wrong.common_name,
        ranks=wrong.ranks,
        observation_id=f"{wrong.species_id}-{name}",
    )
    return Shot(photograph=labelled, subject=row, treatment="relabelled", related=row.species_id)
