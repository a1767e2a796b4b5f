"""What might be built on top of a family, tried here first. Settings are those that make val likeliest, unless said.

Shapes: B photographs, N taught photographs, S species, F features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from methods import Said
from numpy.typing import NDArray

from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import Floats, softmax
from earthsnap_train.taxonomy.tree import Taxonomy

LEAST = 1e-9
Labels = NDArray[np.int64]


def log_of(p_BS: Floats) -> Floats:
    logs: Floats = np.log(p_BS + np.float32(LEAST))
    return logs


def surprise(p_BS: Floats, truth_B: Labels) -> float:
    """Mean of -log P(true species), in nats."""
    return float(-log_of(p_BS)[np.arange(len(truth_B)), truth_B].mean())


def recalibrated(val_logits_BS: Floats, test_logits_BS: Floats, val_truth_B: Labels, note: str) -> Said:
    temperature = fit_temperature(val_logits_BS, val_truth_B)
    return Said(val_BS=softmax(val_logits_BS, temperature), test_BS=softmax(test_logits_BS, temperature), note=note)


def likeliest(candidates: Iterable[Said], val_truth_B: Labels) -> Said:
    return min(candidates, key=lambda said: surprise(said.val_BS, val_truth_B))


def nearest(taught_NF: Floats, asked_BF: Floats, *, k: int) -> tuple[NDArray[np.intp], Floats]:
    """(rows of the ``k`` most alike taught photographs, their cosines), most alike first [B, k]."""
    taught_NF = taught_NF / np.linalg.norm(taught_NF, axis=1, keepdims=True)
    cosine_BN = (asked_BF / np.linalg.norm(asked_BF, axis=1, keepdims=True)) @ taught_NF.T
    k = min(k, cosine_BN.shape[1])
    rows_BK = np.argpartition(-cosine_BN, k - 1, axis=1)[:, :k]
    cosine_BK = np.take_along_axis(cosine_BN, rows_BK, axis=1)
    order_BK = np.argsort(-cosine_BK, axis=1, kind="stable")
    return np.take_along_axis(rows_BK, order_BK, axis=1), np.take_along_axis(cosine_BK, order_BK, axis=1)


def votes(labels_BK: Labels, cosine_BK: Floats, *, sharpness: float, num_species: int) -> Floats:
    """Each neighbour weighs exp(sharpness * cosine) [B, S]."""
    votes_BS = np.zeros((len(labels_BK), num_species), dtype=np.float32)
    np.add.at(votes_BS, (np.arange(len(labels_BK))[:, None], labels_BK), softmax(cosine_BK * np.float32(sharpness)))
    return votes_BS


def with_neighbours(
    said: Said, taught_NF: Floats, labels_N: Labels, val_BF: Floats, test_BF: Floats, val_truth_B: Labels
) -> Said:
    """A share of the probability is that of the nearest photographs (k-NN blend, Khandelwal et al., ICLR 2020)."""
    num_species = said.val_BS.shape[1]
    mean_F = taught_NF.mean(axis=0)
    found = [nearest(taught_NF - mean_F, x_BF - mean_F, k=20) for x_BF in (val_BF, test_BF)]
    tried = []
    for k, sharpness in product((5, 20), (10.0, 30.0)):
        found_near = [
            votes(labels_N[rows_BK[:, :k]], cosine_BK[:, :k], sharpness=sharpness, num_species=num_species)
            for rows_BK, cosine_BK in found
        ]
        for share in (0.0, 0.1, 0.2, 0.35, 0.5):
            mixed = (log_of((1 - share) * own + share * near) for own, near in zip(said.asked, found_near, strict=True))
            tried.append(recalibrated(*mixed, val_truth_B, f"{share:g} of {k}, {sharpness:g}"))
    return likeliest(tried, val_truth_B)


def with_discriminant(
    said: Said, taught_NF: Floats, labels_N: Labels, val_BF: Floats, test_BF: Floats, val_truth_B: Labels
) -> Said:
    """Logits of linear discriminant analysis with a shrunk covariance (Friedman 1989, JASA 84:165) are added, weighed."""
    num_species = said.val_BS.shape[1]
    mean_SF = np.stack(
        [
            taught_NF[labels_N == s].mean(axis=0) if (labels_N == s).any() else taught_NF.mean(axis=0)
            for s in range(num_species)
        ]
    ).astype(np.float64)
    within_NF = taught_NF - mean_SF[labels_N]
    scatter_FF = within_NF.T @ within_NF / len(within_NF)
    tried = []
    for shrinkage in (0.1, 0.3):
        target_FF = np.eye(len(scatter_FF)) * np.trace(scatter_FF) / len(scatter_FF)
        weight_SF = np.linalg.solve((1 - shrinkage) * scatter_FF + shrinkage * target_FF, mean_SF.T).T
        bias_S = -(weight_SF * mean_SF).sum(axis=1) / 2
        discriminant = [(x_BF @ weight_SF.T + bias_S).astype(np.float32) for x_BF in (val_BF, test_BF)]
        scale = fit_temperature(discriminant[0], val_truth_B)
        for weight in (0.0, 0.25, 0.5, 1.0):
            added = (
                log_of(own) + np.float32(weight) * log_of(softmax(other, scale))
                for own, other in zip(said.asked, discriminant, strict=True)
            )
            tried.append(recalibrated(*added, val_truth_B, f"{weight:g} at {shrinkage:g}"))
    return likeliest(tried, val_truth_B)


def with_ranks(said: Said, of_ranks: Mapping[str, tuple[Said, NDArray[np.intp]]], val_truth_B: Labels) -> Said:
    """Times the probability of each species' taxon by heads that were taught ranks, to a power.

    ``of_ranks``: rank -> (what its head says of its taxa, the taxon of each species [S]).
    """
    tried = []
    for power in (0.0, 0.15, 0.3, 0.6, 1.0):
        val_BS, test_BS = log_of(said.val_BS), log_of(said.test_BS)
        for one, taxon_S in of_ranks.values():
            val_BS = val_BS + np.float32(power) * log_of(one.val_BS)[:, taxon_S]
            test_BS = test_BS + np.float32(power) * log_of(one.test_BS)[:, taxon_S]
        tried.append(recalibrated(val_BS, test_BS, val_truth_B, f"power {power:g}"))
    return likeliest(tried, val_truth_B)


def for_rare_species(said: Said, counts_S: Labels, val_truth_B: Labels) -> Said:
    """Logits minus tau times the log of a species' share (Menon et al., ICLR 2021); tau with the best macro recall of val."""
    log_share_S = np.log(counts_S.clip(min=1) / counts_S.clip(min=1).sum()).astype(np.float32)
    present, truth_B = np.unique(val_truth_B, return_inverse=True)
    best, best_recall = said, -1.0
    for tau in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5):
        val_BS, test_BS = (
            softmax(log_of(p_BS) - np.float32(tau) * log_share_S) for p_BS in (said.val_BS, said.test_BS)
        )
        hits_B = val_BS.argmax(axis=1) == val_truth_B
        recall = float(np.mean(np.bincount(truth_B, hits_B, len(present)) / np.bincount(truth_B)))
        if recall > best_recall:
            best, best_recall = Said(val_BS=val_BS, test_BS=test_BS, note=f"tau {tau:g}"), recall
    return best


def distances_of(taxonomy: Taxonomy, species: Sequence[str]) -> Floats:
    """Ranks to climb from each species to each other [S, S]."""
    return np.asarray([[taxonomy.distance(a, b) for b in species] for a in species], dtype=np.float32)


def least_expected_distance(said: Said, distance_SS: Floats) -> Said:
    """Names the species that is nearest to all that it may be (Karthik et al., ICLR 2021, "No cost likelihood ...")."""
    named = ((said.val_BS @ distance_SS).argmin(axis=1), (said.test_BS @ distance_SS).argmin(axis=1))
    return replace(said, named=named)
