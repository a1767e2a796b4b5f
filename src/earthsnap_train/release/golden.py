"""The photographs that lie in a release with the answers that every server of it must give."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsnap_train.models.family import Family
from earthsnap_train.serving.runtimes import TOLERANCE, Precision


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """``species_id``: what it shows; ``top``: what the evaluated models name first, then the likeliest others.

    ``tolerance``: by how much another engine or processor may move a probability; another model moves it by more. Moved by
    so much, any of ``may_be_first`` is named first.
    """

    name: str
    data: bytes
    species_id: str
    top: Sequence[tuple[str, float]]
    may_be_first: Collection[str]
    tolerance: float


def read_golden(release: Path, precision: Precision) -> list[Photograph]:
    """In the order in which they were chosen: each group in turn. ``precision``: in which floats will be computed."""
    folder = release / "golden"
    quantized = Family.model_validate_json((release / "family.json").read_bytes()).quantized
    tolerance = TOLERANCE["int8" if quantized else precision]
    answers = json.loads((folder / "answers.json").read_bytes())
    return [
        Photograph(
            name=answer["file"],
            data=(folder / answer["file"]).read_bytes(),
            species_id=answer["species_id"],
            top=[(species, float(probability)) for species, probability in answer["top"]],
            may_be_first=may_be_first(answer, tolerance),
            tolerance=tolerance,
        )
        for answer in answers
    ]


def may_be_first(golden: Mapping[str, Any], tolerance: float) -> Collection[str]:
    """What may be named first of a golden photograph, where probabilities are moved by as much as the tolerance."""
    first, most = golden["top"][0]
    nearly = golden.get("nearly_first") or [(species, most - probability) for species, probability in golden["top"]]
    return {first, *(species for species, behind in nearly if behind <= tolerance)}


def named(answer: Mapping[str, Any]) -> str | None:
    """The species that a server's answer names first."""
    species: Sequence[Mapping[str, Any]] = answer.get("species") or ()
    return str(species[0]["species_id"]) if species else None


def difference(photograph: Photograph, answer: Mapping[str, Any]) -> str | None:
    """In words, how a server's answer is not the golden one; None where it is.

    Where two species were as good as each other, within the tolerance, either may come first.
    """
    said = {str(one["species_id"]): float(one["probability"]) for one in answer.get("species") or ()}
    first, _ = photograph.top[0]
    came = named(answer)
    if came not in photograph.may_be_first:
        return f"golden photograph {photograph.name}: {first} was evaluated, {came or 'nothing'} was answered"
    for species, probability in photograph.top:
        if species in said and abs(said[species] - probability) > photograph.tolerance:
            return (
                f"golden photograph {photograph.name}: {species} at {probability:.3f} was evaluated, "
                f"at {said[species]:.3f} was answered"
            )
    return None
