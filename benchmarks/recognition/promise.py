"""Is what `architecture.certain` promises kept by a family? Photographs divided again and again into val and the rest.

    python benchmarks/recognition/promise.py plants-dev.npz --rank group

Every photograph is judged by the family of five that never saw it, as `architecture=shared_trunk` declares it, its temperatures
fitted on photographs of its own fold. Each division finds the threshold on val, and looks at the rest to see whether as much
of what is said is right as was promised. `benchmarks/refusal` compares rules to find it by.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from desk import Desk
from folds import Few, fold_of
from methods import OURS
from photographs import Photographs

from earthsnap_train.evaluation.certainty import THRESHOLDS, curve, find_threshold
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.spec.architecture import Certainty

NUM_FOLDS = 5
NUM_DIVISIONS = 100
VAL = (75, 150, 300, 700, 1500)
WANTED = Certainty(accuracy=0.95, delta=0.05, unsure_below=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("--rank", required=True, help="the rank whose taxa are the groups")
    parser.add_argument("--per-species", type=int, help="photographs of each species to learn from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    photographs = Photographs.read(options.embeddings)
    probability_ND, right_ND = judged(photographs, options.rank, Few(per_species=options.per_species, tail=None))
    _, first_of_cluster = np.unique(photographs.cluster_N, return_index=True)
    print("| val | promised | kept | answered, mean |")
    print("|---|---|---|---|")
    for num_val in (num for num in VAL if num < len(first_of_cluster) / 2):
        generator = np.random.default_rng(0)
        kept, answered = [], 0.0
        for _ in range(NUM_DIVISIONS):
            drawn = generator.permutation(first_of_cluster)
            val, rest = drawn[:num_val], drawn[num_val:]
            found = find_threshold(WANTED, probability_ND[val], right_ND[val])
            if found.outcome == "promised":
                world = curve(probability_ND[rest], right_ND[rest])[THRESHOLDS.index(found.unsure_below)]
                kept.append(world.right >= WANTED.accuracy)
                answered += world.answered / NUM_DIVISIONS
        share = f"{np.mean(kept):.0%}" if kept else ""
        print(f"| {num_val:,} | {len(kept) / NUM_DIVISIONS:.0%} | {share} | {answered:.1%} |", flush=True)


def judged(photographs: Photographs, rank: str, few: Few) -> tuple[np.ndarray, np.ndarray]:
    """Of each photograph's likeliest taxa, species first: their probabilities [N, D], and whether they hold [N, D]."""
    probability_NS = np.empty((len(photographs), len(photographs.species)), dtype=np.float32)
    species: tuple[str, ...] = ()
    for number in range(NUM_FOLDS):
        fold = fold_of(photographs, rank, few=few, num_folds=NUM_FOLDS, seed=0, fold=number)
        species = fold.species
        probability_NS[fold.test_N] = Desk(photographs, fold, device="cpu").said(OURS).test_BS
    named_N = np.asarray(species)[probability_NS.argmax(axis=1)]
    print(f"top-1 {np.mean(named_N == photographs.species_N):.1%} on {len(photographs):,} photographs\n")
    roll_up = RollUp(photographs.taxonomy, species)
    lineages = roll_up.lineages(probability_NS)
    return lineages.probability_BD, roll_up.holds(lineages.taxon_BD, photographs.species_N.tolist())


if __name__ == "__main__":
    main()
