"""What is said of things that the family never learnt: species and orders left out of teaching, and what is no plant.

    python benchmarks/refusal/strangers.py features.npz

A head learns the species that are known; temperature and threshold are fitted on val of those. Then, how often something is
said of a stranger, at which rank, and how often that is still true; and how well other scores would tell strangers.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from heads import RANKS, Head, Plants, teach
from scipy.special import logsumexp
from scipy.stats import rankdata

from earthsnap_train.evaluation.certainty import find_threshold
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import softmax
from earthsnap_train.models.rollup import RollUp, answers_at
from earthsnap_train.spec.architecture import Certainty

SHARES = (0.65, 0.15, 0.2)  # train, val, test
SEEDS = range(5)
NUM_SPECIES, NUM_ORDERS = 20, 5  # left out
NUM_NEIGHBOURS = 10
SHRINK = 0.1
WANTED = Certainty(accuracy=0.95, delta=0.05, unsure_below=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    path = parser.parse_args().features
    plants, others = Plants.read(path), np.load(path)
    things = {"photographs of no plant": others["photographed"]}
    things |= {
        f"drawn: {kind}": others["drawn"][others["drawn_kind"] == kind] for kind in np.unique(others["drawn_kind"])
    }
    said: defaultdict[str, list[list[float]]] = defaultdict(list)
    told: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for seed in SEEDS:
        for what in ("species", "orders"):
            judge(plants, what, seed, things if what == "species" else {}, said, told)
    print("| what is seen | nothing said | species | genus | family | order | true, of what is said |")
    print("|---|---|---|---|---|---|---|")
    for what, rows in said.items():
        nothing, *ranks, right = np.nanmean(rows, axis=0)
        print(f"| {what} | {nothing:.1%} | {' | '.join(f'{one:.1%}' for one in reversed(ranks))} | {right:.1%} |")
    groups = list(dict.fromkeys(group for group, _ in told))
    scores = list(dict.fromkeys(score for _, score in told))
    for title, place in (("AUROC", 0), ("refused, with 95 % of the known kept", 1)):
        print(f"\n| {title} | {' | '.join(groups)} |\n|---|{'---|' * len(groups)}")
        for score in scores:
            values = [f"{np.mean([one[place] for one in told[group, score]]):.3f}" for group in groups]
            print(f"| {score} | {' | '.join(values)} |")


def judge(plants: Plants, what: str, seed: int, things: Mapping[str, np.ndarray], said: dict, told: dict) -> None:
    generator = np.random.default_rng(seed)
    unit_N = plants.species if what == "species" else plants.lineage[:, 0]
    out = generator.choice(np.unique(unit_N), NUM_SPECIES if what == "species" else NUM_ORDERS, replace=False)
    is_known_N = ~np.isin(unit_N, out)
    train_N, val_N, test_N = (is_known_N & (plants.dealt(SHARES, seed) == part) for part in range(3))
    names = np.unique(plants.species[is_known_N])
    label_N = np.searchsorted(names, plants.species)  # means something for the known alone
    head = teach(plants.features_NF[train_N], label_N[train_N])
    temperature = fit_temperature(head.logits(plants.features_NF[val_N]), label_N[val_N])
    roll_up = RollUp(plants.taxonomy(names.tolist()), names.tolist())

    def lineages(features_NF: np.ndarray):
        return roll_up.lineages(softmax(head.logits(features_NF), temperature))

    seen = lineages(plants.features_NF[val_N])
    right_ND = roll_up.holds(seen.taxon_BD, plants.species[val_N].tolist())
    unsure_below = find_threshold(WANTED, seen.probability_BD, right_ND).unsure_below
    strangers = {f"{what} left out": plants.features_NF[~is_known_N], **things}
    truth = {f"{what} left out": plants.lineage[~is_known_N], f"known, beside {what} left out": plants.lineage[test_N]}
    known = f"known, beside {what} left out"
    for name, features_NF in {known: plants.features_NF[test_N], **strangers}.items():
        found = lineages(features_NF)
        at_N = answers_at(unsure_below, found.probability_BD)
        answers = [
            roll_up.taxa[taxon_D[at]] if at >= 0 else None for taxon_D, at in zip(found.taxon_BD, at_N, strict=True)
        ]
        of_rank = [
            np.mean([answer is not None and answer[0] == rank for answer in answers]) for rank in (*RANKS, "species")
        ]
        lineage = truth.get(name)
        species = plants.species[test_N] if name == known else None
        right = [
            answer[1] == species[row] if answer[0] == "species" and species is not None
            else lineage is not None and answer[0] != "species" and answer[1] == lineage[row][RANKS.index(answer[0])]
            for row, answer in enumerate(answers)
            if answer is not None
        ]  # fmt: skip
        said[name].append([np.mean([one is None for one in answers]), *of_rank, np.mean(right) if right else np.nan])

    scores = Scores(head, temperature, roll_up, plants.features_NF[train_N], label_N[train_N])
    of_known = scores(plants.features_NF[test_N])
    groups = {f"{what} left out": plants.features_NF[~is_known_N]}
    if things:
        groups["photographs of no plant"] = things["photographs of no plant"]
        groups["drawn"] = np.concatenate([one for name, one in things.items() if name.startswith("drawn")])
    for group, features_NF in groups.items():
        for score, values_N in scores(features_NF).items():
            told[group, score].append((auroc(of_known[score], values_N), refused(of_known[score], values_N)))


class Scores:
    """How familiar something is, the larger the more, by each of the ways."""

    def __init__(
        self, head: Head, temperature: float, roll_up: RollUp, features_NF: np.ndarray, label_N: np.ndarray
    ) -> None:
        self._head, self._temperature, self._roll_up = head, temperature, roll_up
        inputs_NF = head.scaled(features_NF).astype(np.float64)
        self._means_CF = np.stack([inputs_NF[label_N == one].mean(axis=0) for one in range(label_N.max() + 1)])
        self._mean_F = inputs_NF.mean(axis=0)
        self._within = _whitening(inputs_NF - self._means_CF[label_N])
        self._overall = _whitening(inputs_NF - self._mean_F)
        self._seen_NF = inputs_NF / np.linalg.norm(inputs_NF, axis=1, keepdims=True)

    def __call__(self, features_NF: np.ndarray) -> dict[str, np.ndarray]:
        logits_NC = self._head.logits(features_NF)
        species_NS = softmax(logits_NC, self._temperature)
        inputs_NF = self._head.scaled(features_NF).astype(np.float64)
        within_NF, means_CF = inputs_NF @ self._within, self._means_CF @ self._within
        near_NC = (within_NF**2).sum(axis=1)[:, None] - 2 * within_NF @ means_CF.T + (means_CF**2).sum(axis=1)
        far_N = (((inputs_NF - self._mean_F) @ self._overall) ** 2).sum(axis=1)
        direction_NF = inputs_NF / np.linalg.norm(inputs_NF, axis=1, keepdims=True)
        alike_NN = np.partition(direction_NF @ self._seen_NF.T, -NUM_NEIGHBOURS, axis=1)
        return {
            "greatest species probability": species_NS.max(axis=1),
            "greatest rolled-up probability": self._roll_up.lineages(species_NS).probability_BD[:, 0],
            "energy (Liu 2020)": logsumexp(logits_NC, axis=1),
            "Mahalanobis (Lee 2018)": -near_NC.min(axis=1),
            "relative Mahalanobis (Ren 2021)": far_N - near_NC.min(axis=1),
            f"neighbour {NUM_NEIGHBOURS} (Sun 2022)": alike_NN[:, -NUM_NEIGHBOURS],
        }


def _whitening(residual_NF: np.ndarray) -> np.ndarray:
    covariance_FF = np.cov(residual_NF.T)
    num = len(covariance_FF)
    covariance_FF = (1 - SHRINK) * covariance_FF + SHRINK * np.trace(covariance_FF) / num * np.eye(num)
    return np.linalg.inv(np.linalg.cholesky(covariance_FF)).T


def auroc(known_N: np.ndarray, strange_N: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([known_N, strange_N]))[: len(known_N)].sum()
    return float((ranks - len(known_N) * (len(known_N) + 1) / 2) / (len(known_N) * len(strange_N)))


def refused(known_N: np.ndarray, strange_N: np.ndarray) -> float:
    return float(np.mean(strange_N < np.quantile(known_N, 0.05)))


if __name__ == "__main__":
    main()
