"""What is said of the photographs of one plant: probabilities in, the JSON answer out.

Shapes: P photographs, S species, G groups.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from earthsnap_train.models.family import Family, Floats
from earthsnap_train.models.naming import Naming
from earthsnap_train.models.rollup import RollUp, Taxon
from earthsnap_train.taxonomy.tree import SPECIES_RANK, Taxonomy

_DIGITS = 6
_LEAST = 1e-9  # one photograph alone rules nothing out


def fuse(probabilities_PC: Floats) -> Floats:
    """What several photographs of one plant say together [C]: the normalised geometric mean of what each says.

    On the 140 plants of two photographs in the demo's test split: the mean names 99.3 % right with a calibration error
    (ECE) of 0.073, the geometric mean 100 % with 0.037, one photograph 96.4 % with 0.051. The product, which takes
    photographs for independent, was better still there (0.011), but real photographs of one plant share light, leaf and
    photographer, and it would be sure of their common mistakes.
    """
    if len(probabilities_PC) == 1:
        return np.asarray(probabilities_PC[0], dtype=np.float32)
    logs_C = np.log(np.maximum(probabilities_PC, _LEAST)).mean(axis=0, dtype=np.float64)
    weights_C = np.exp(logs_C - logs_C.max())
    fused_C: Floats = (weights_C / weights_C.sum()).astype(np.float32)
    return fused_C


class Words:
    """Names for numbers, prepared once. ``top``: species in an answer."""

    def __init__(self, family: Family, taxonomy: Taxonomy, top: int) -> None:
        self.family = family
        self._top = top
        self._roll_up = RollUp(taxonomy, family.species)
        self.naming = Naming(family.named_first, taxonomy, family.species)
        self._names: Mapping[str, dict[str, str | None]] = {
            one: {
                "scientific_name": taxonomy.get(one).scientific_name,
                "common_name": taxonomy.get(one).common_name,
            }
            for one in family.species
        }

    def say(self, species_PS: Floats, groups_PG: Floats) -> dict[str, Any]:
        """All of the answer but whose it is: ``answer``, ``reason``, ``lineage``, ``group``, ``species``, ``photographs``."""
        species_S, groups_G = fuse(species_PS), fuse(groups_PG)
        named = self._roll_up(species_S, self.family.unsure_below)
        nothing = {"rank": None, "name": None, "scientific_name": None, "common_name": None, "probability": None}
        return {
            "answer": nothing if named.answer is None else self._taxon(named.answer, always_named=True),
            "reason": named.reason,
            "lineage": [self._taxon(taxon) for taxon in named.lineage],
            "group": self._group(groups_G),
            "species": self._species(species_S),
            "photographs": [
                {"species": self._species(one_S), "group": self._group(one_G)}
                for one_S, one_G in zip(species_PS, groups_PG, strict=True)
            ],
        }

    def _taxon(self, taxon: Taxon, *, always_named: bool = False) -> dict[str, Any]:
        """A higher taxon's name is its scientific name."""
        said: dict[str, Any] = {"rank": taxon.rank, "name": taxon.name}
        if taxon.rank == SPECIES_RANK:
            said |= self._names[taxon.name]
        elif always_named:
            said |= {"scientific_name": taxon.name, "common_name": None}
        return said | {"probability": round(taxon.probability, _DIGITS)}

    def _group(self, groups_G: Floats) -> dict[str, Any]:
        first = int(groups_G.argmax())
        return {"name": self.family.groups[first], "probability": round(float(groups_G[first]), _DIGITS)}

    def _species(self, species_S: Floats) -> list[dict[str, Any]]:
        return [
            {
                "species_id": one,
                **self._names[one],
                "probability": round(probability, _DIGITS),
                "group": self.family.group_of[one],
            }
            for one, probability in self.naming.top(species_S, self._top)
        ]
