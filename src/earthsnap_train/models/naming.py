"""Which species is named first: the likeliest, or the one that is least far, on average, from all that it may be.

numpy alone: evaluation and serving share it. Probabilities stay as they are, and with them what ``rollup`` says of taxa.
Shapes: B photographs, S species, K names, L lineages (what species have above them, each once).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.models.family import Floats
from earthsnap_train.spec.architecture import NamedFirst
from earthsnap_train.taxonomy.tree import Taxonomy

_AT_ONCE = 1024  # photographs: distances are weighed in double precision
_DIGITS = 9  # sums of the same numbers in another order are equal


class Naming:
    """Prepared once for the species axis of a family.

    ``least_expected_distance`` weighs each ``Taxonomy.distance`` by how likely it is (Karthik et al. 2021, ICLR, "No cost
    likelihood manipulation at test time for making better mistakes in deep networks").
    """

    def __init__(self, named_first: NamedFirst, taxonomy: Taxonomy, species: Sequence[str]) -> None:
        self._species = species
        self._distances = _Distances(taxonomy, species) if named_first == "least_expected_distance" else None

    def order(self, species_BS: Floats, count: int) -> NDArray[np.intp]:
        """The place of the one named first, then of the likeliest others [B, K]; of equal ones the earlier. K <= ``count``."""
        wanted_BS = species_BS
        if self._distances is not None:
            wanted_BS = species_BS.copy()
            for start in range(0, len(species_BS), _AT_ONCE):
                part_BS = species_BS[start : start + _AT_ONCE]
                wanted_BS[start + np.arange(len(part_BS)), self._nearest(part_BS)] = np.inf
        return np.argsort(-wanted_BS, axis=1, kind="stable")[:, :count]

    def top(self, species_S: Floats, count: int) -> Sequence[tuple[str, float]]:
        """The same names of one photograph, each with its probability."""
        return [(self._species[place], float(species_S[place])) for place in self.order(species_S[None], count)[0]]

    def nearly_first(self, species_S: Floats, count: int) -> Sequence[tuple[str, float]]:
        """What would be named first were the probabilities a little other, the one that is first included.

        And how much less likely each is than it must be; of the likeliest's rivals that is the difference of the two.
        """
        first = self.order(species_S[None], 1)[0, 0]
        cost_S = self._costs(species_S[None])[0]
        apart_S = np.ones(len(species_S)) if self._distances is None else self._distances.to_all(first)
        apart_S[first] = 1
        behind_S = np.maximum(0.0, (cost_S - cost_S[first]) / apart_S)
        places = np.argsort(behind_S, kind="stable")[:count]
        return [(self._species[place], float(behind_S[place])) for place in places if species_S[place] > 0]

    def _nearest(self, species_BS: Floats) -> NDArray[np.intp]:
        """The place of the one that costs least [B]; of equal ones the likelier.

        In a tree that is always the species that is at least half likely, where there is one. It stays so where ranks that
        are not known break the tree, for such a species may be said to be certain.
        """
        cost_BS = np.where(species_BS >= 0.5, -1.0, self._costs(species_BS))
        is_least_BS = cost_BS == cost_BS.min(axis=1, keepdims=True)
        return np.asarray(np.where(is_least_BS, species_BS, np.float32(-1)).argmax(axis=1))

    def _costs(self, species_BS: Floats) -> NDArray[np.float64]:
        """What each name is expected to cost [B, S], from 0 to 1; what is impossible costs more than anything."""
        p_BS = species_BS.astype(np.float64)
        cost_BS = 1 - p_BS if self._distances is None else self._distances.expected(p_BS)
        return np.where(p_BS > 0, np.round(cost_BS, _DIGITS), np.inf)


class _Distances:
    """Two species are as far from each other as their lineages are, of which there are fewer."""

    def __init__(self, taxonomy: Taxonomy, species: Sequence[str]) -> None:
        lineages = [taxonomy.get(one).ranks for one in species]
        number = {lineage: place for place, lineage in enumerate(dict.fromkeys(lineages))}
        self._lineage_S = np.asarray([number[one] for one in lineages], dtype=np.intp)
        farthest = len(taxonomy.ranks) + 1
        distance_LL = np.full((len(number), len(number)), farthest, dtype=np.float64)
        for at, rank in enumerate(taxonomy.ranks):
            taxon_L = np.asarray([dict(lineage).get(rank, "") for lineage in number], dtype=np.str_)
            _, code_L = np.unique(taxon_L, return_inverse=True)
            distance_LL[(code_L[:, None] == code_L) & (taxon_L != "")] = farthest - 1 - at  # lower ranks come later
        self._share_LL = distance_LL / farthest

    def expected(self, p_BS: NDArray[np.float64]) -> NDArray[np.float64]:
        """From each species to all that it may be [B, S], in shares of the farthest. A species is no distance from itself."""
        p_BL = np.zeros((len(p_BS), len(self._share_LL)))
        np.add.at(p_BL.T, self._lineage_S, p_BS.T)
        among_kin_S = self._share_LL.diagonal()[self._lineage_S]
        expected_BS: NDArray[np.float64] = (p_BL @ self._share_LL)[:, self._lineage_S] - p_BS * among_kin_S
        return expected_BS

    def to_all(self, place: int) -> NDArray[np.float64]:
        """From the species at this place to each other [S], in the same shares."""
        distance_S: NDArray[np.float64] = self._share_LL[self._lineage_S[place], self._lineage_S]
        return distance_S
