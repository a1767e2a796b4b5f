"""What each part of a shared trunk's family is worth: the same photographs, named with one part changed at a time."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.family_metrics import species_metrics
from earthsnap_train.evaluation.intervals import Clusters, bootstrap, mean_of
from earthsnap_train.evaluation.predictions import Answers, Names
from earthsnap_train.evaluation.report import Variation
from earthsnap_train.models.naming import Naming
from earthsnap_train.spec.architecture import NamedFirst
from earthsnap_train.taxonomy.tree import Taxonomy

# How the first name is chosen -> the other way, in words and as it is declared.
OTHERWISE: Mapping[NamedFirst, tuple[str, NamedFirst]] = {
    "likeliest": ("least expected distance named first", "least_expected_distance"),
    "least_expected_distance": ("likeliest named first", "likeliest"),
}


def variations(
    species: Sequence[str],
    truth: Names,
    named: Mapping[str, NDArray[np.float32]],
    taxonomy: Taxonomy,
    group_of: Mapping[str, str],
    clusters: Clusters,
    named_first: NamedFirst,
) -> tuple[Variation, ...]:
    """``named``: what was varied -> probabilities [photographs, species]; the first is the family as declared.

    After it comes the same with the other way to choose what is named first.
    """
    (declared, declared_BS), *others = named.items()
    otherwise, other = OTHERWISE[named_first]
    naming = Naming(named_first, taxonomy, species)
    answers = {
        declared: Answers.from_probabilities(species, declared_BS, naming),
        otherwise: Answers.from_probabilities(species, declared_BS, Naming(other, taxonomy, species)),
        **{name: Answers.from_probabilities(species, p_BS, naming) for name, p_BS in others},
    }
    declared_hits: NDArray[np.float64] | None = None
    rows = []
    for name, one in answers.items():
        metrics = species_metrics(truth, one, taxonomy, group_of, clusters, None)
        hits = (one.first == truth).astype(np.float64)
        minus = None if declared_hits is None else bootstrap(mean_of(hits - declared_hits), clusters)
        declared_hits = hits if declared_hits is None else declared_hits
        rows.append(
            Variation(
                name=name,
                top1=metrics.top1.value,
                macro_recall=metrics.macro_recall.value,
                mistake_severity=metrics.mistake_severity,
                ece=metrics.ece,
                minus_declared=minus,
            )
        )
    return tuple(rows)
