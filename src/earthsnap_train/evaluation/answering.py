"""What users are told and what is refused: how much of it is right, by rank, by group and at every threshold.

Shapes: B photographs, S species.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.certainty import are_right, curve
from earthsnap_train.evaluation.figures import AnsweredGroup, AnsweredRank, Answering, Calibration, Estimate
from earthsnap_train.evaluation.intervals import Clusters, number_clusters, share
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.models.rollup import RollUp, answers_at
from earthsnap_train.taxonomy.tree import SPECIES_RANK, Taxonomy

Flags = NDArray[np.bool_]


def judge_answers(
    predictions: FamilyPredictions,
    species_BS: NDArray[np.float32],
    species: Sequence[str],
    taxonomy: Taxonomy,
    calibration: Calibration,
) -> Answering:
    """``species_BS``: a probability for each of ``species``, of the photographs of ``predictions``."""
    roll_up = RollUp(taxonomy, species)
    clusters = number_clusters(predictions.cluster_id, len(predictions))
    lineages = roll_up.lineages(species_BS)
    right_BD = roll_up.holds(lineages.taxon_BD, predictions.species_id.tolist())
    said_B = answers_at(calibration.unsure_below, lineages.probability_BD)
    right_B = are_right(said_B, right_BD)
    rank_B = _ranks(roll_up, lineages.taxon_BD, said_B)

    first_B1 = predictions.answers.confidence[:, None]
    first_right_B1 = (predictions.answers.first == predictions.species_id)[:, None]
    alone_B = answers_at(calibration.species_alone.unsure_below, first_B1)
    return Answering(
        answered=share(said_B >= 0, clusters),
        answered_right=_right(right_B, said_B >= 0, clusters),
        answered_as_species=share(rank_B == SPECIES_RANK, clusters),
        species_alone_answered=share(alone_B >= 0, clusters),
        species_alone_right=_right(are_right(alone_B, first_right_B1), alone_B >= 0, clusters),
        calibration=calibration,
        by_rank=tuple(
            AnsweredRank(
                rank=rank,
                answered=share(rank_B == rank, clusters),
                right=_share_of(right_B, rank_B == rank, clusters),
            )
            for rank in (*taxonomy.ranks, SPECIES_RANK)
        ),
        by_group=tuple(
            _group(group, predictions.group == group, said_B >= 0, right_B, clusters)
            for group in np.unique(predictions.group).tolist()
        ),
        curve=curve(lineages.probability_BD, right_BD),
        species_alone_curve=curve(first_B1, first_right_B1),
    )


def _ranks(roll_up: RollUp, taxon_BD: NDArray[np.intp], said_B: NDArray[np.intp]) -> NDArray[np.str_]:
    """The rank of each answer; ``""`` where nothing is said."""
    rank_T = np.asarray([*(rank for rank, _ in roll_up.taxa), ""], dtype=np.str_)
    taxon_B = np.where(said_B >= 0, taxon_BD[np.arange(len(said_B)), said_B], -1)
    return rank_T[taxon_B]


def _group(group: str, inside: Flags, said_B: Flags, right_B: Flags, clusters: Clusters) -> AnsweredGroup:
    answered = _share_of(said_B, inside, clusters)
    assert answered is not None, "a group that is listed has a photograph"
    right = _share_of(right_B, inside & said_B, clusters)
    return AnsweredGroup(group=group, num_images=int(inside.sum()), answered=answered, right=right)


def _right(right_B: Flags, said_B: Flags, clusters: Clusters) -> Estimate:
    """Where nothing is said, nothing said is wrong, and nothing is known of it."""
    return _share_of(right_B, said_B, clusters) or Estimate(value=1.0, low=0.0, high=1.0)


def _share_of(hits: Flags, among: Flags, clusters: Clusters) -> Estimate | None:
    """Of the photographs ``among``; None without any."""
    num = int(among.sum())
    return share(hits[among], number_clusters(clusters[among].astype(np.str_), num)) if num else None
