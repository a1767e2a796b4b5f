"""Of which species there are too few photographs to know how well it is recognised."""

from collections.abc import Mapping, Sequence

import numpy as np

from earthsnap_train.advice.figures import WIDEST, SpeciesFigures
from earthsnap_train.advice.material import Material
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.evaluation.intervals import number_clusters, share, wilson
from earthsnap_train.models.family import Floats

MOST_IMAGES = 10_000


def species_figures(
    material: Material, p_NS: Floats, names: Mapping[str, Name], uris: Sequence[str]
) -> list[SpeciesFigures]:
    """Every species, the one with the widest interval of its recall first. ``p_NS``: of a head, on what it has not seen."""
    is_right_N = p_NS.argmax(axis=1) == material.label_N
    found = []
    for place, species in enumerate(material.species):
        rows_N = material.label_N == place
        clusters = number_clusters(material.cluster_N[rows_N].astype(np.str_), int(rows_N.sum()))
        recall = share(is_right_N[rows_N], clusters)
        num_images = int(rows_N.sum())
        found.append(
            SpeciesFigures(
                name=names[species],
                num_images=num_images,
                num_clusters=int(clusters.max()) + 1,
                recall=recall,
                num_wanted=num_wanted(recall, num_images),
                clearest=uris[int(np.where(rows_N, p_NS[:, place], -1.0).argmax())],
            )
        )
    return sorted(found, key=lambda one: (one.recall.low - one.recall.high, one.name.species_id))


def num_wanted(recall: Estimate, num_images: int) -> int | None:
    """Photographs, all in all, with which the interval is as narrow as ``WIDEST``, if recall stays what it is; None: it is."""
    if recall.high - recall.low <= WIDEST:
        return None
    for number in range(num_images + 1, MOST_IMAGES):
        then = wilson(recall.value, number)
        if then.high - then.low <= WIDEST:
            return number
    return MOST_IMAGES
