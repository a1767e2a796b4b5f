"""Is the promise kept, and at what price? Photographs that a head never saw, divided again and again into val and the rest.

    python benchmarks/refusal/guarantee.py features.npz

Every photograph is judged by a head of five that did not learn from its part. Each division fits the temperature and the
threshold on val, and looks at the rest to see whether as much of what is said is right as was promised.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from heads import Plants, teach
from scipy.special import bdtr

from earthsnap_train.evaluation.certainty import THRESHOLDS, curve, find_threshold
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import softmax
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.spec.architecture import Certainty

NUM_PARTS = 5
NUM_DIVISIONS = 100
VAL = (75, 150, 300, 700, 1500)
WANTED = Certainty(accuracy=0.95, delta=0.05, unsure_below=None)

Counts = np.ndarray
Rule = Callable[[Counts, Counts], int | None]
"""From how many are said, and how many of them wrongly, at each threshold: the place of the one to take."""


def passes(said: int, wrong: int, delta: float) -> bool:
    return bool(bdtr(wrong, said, 1 - WANTED.accuracy) <= delta)


def as_it_looks(said_K: Counts, wrong_K: Counts) -> int | None:
    fits = [at for at in range(len(said_K)) if said_K[at] and wrong_K[at] <= (1 - WANTED.accuracy) * said_K[at]]
    return max(fits, default=None)


def bonferroni(said_K: Counts, wrong_K: Counts) -> int | None:
    tried = range(4, len(said_K), 5)  # 0.95, 0.9, ...
    return max((at for at in tried if passes(said_K[at], wrong_K[at], WANTED.delta / len(tried))), default=None)


def several_starts(said_K: Counts, wrong_K: Counts) -> int | None:
    starts = (0, 9, 19, 29)  # 0.99, 0.9, 0.8, 0.7
    return max((at for one in starts if (at := _walk(said_K, wrong_K, one, len(starts))) is not None), default=None)


def one_sequence(said_K: Counts, wrong_K: Counts) -> int | None:
    return _walk(said_K, wrong_K, 0, 1)


def _walk(said_K: Counts, wrong_K: Counts, start: int, num_starts: int) -> int | None:
    best = None
    for at in range(start, len(said_K)):
        if not passes(said_K[at], wrong_K[at], WANTED.delta / num_starts):
            break
        best = at
    return best


def bisection(said_K: Counts, wrong_K: Counts) -> int | None:
    """Geifman & El-Yaniv 2017."""
    low, high, best = 0, len(said_K) - 1, None
    steps = int(np.ceil(np.log2(len(said_K))))
    for _ in range(steps):
        middle = (low + high) // 2
        if passes(said_K[middle], wrong_K[middle], WANTED.delta / steps):
            best, low = middle, middle + 1
        else:
            high = middle - 1
    return best


RULES: Mapping[str, Rule | None] = {
    "as it looks on val": as_it_looks,
    "Bonferroni over ten": bonferroni,
    "bisection (SGR)": bisection,
    "four starts": several_starts,
    "one sequence": one_sequence,
    "ours": None,  # find_threshold itself
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    plants = Plants.read(parser.parse_args().features)
    names, labels_N = np.unique(plants.species, return_inverse=True)
    logits_NS = _unseen(plants, labels_N)
    roll_up = RollUp(plants.taxonomy(names.tolist()), names.tolist())
    _, first_of_cluster = np.unique(plants.cluster, return_index=True)
    print("| temperature fitted on | answers | val | rule | promised | kept | answered, mean |")
    print("|---|---|---|---|---|---|---|")
    for refit in (True, False):
        for alone in (False, True):
            if not refit and alone:
                continue
            for num_val in VAL if refit else VAL[2:]:
                rows: dict[str, list[tuple[float, bool] | None]] = {rule: [] for rule in RULES}
                generator = np.random.default_rng(0)
                whole = fit_temperature(logits_NS, labels_N)
                for _ in range(NUM_DIVISIONS):
                    drawn = generator.permutation(first_of_cluster)
                    val, rest = drawn[:num_val], drawn[num_val:]
                    temperature = fit_temperature(logits_NS[val], labels_N[val]) if refit else whole
                    species_NS = softmax(logits_NS, temperature)
                    if alone:
                        probability_ND = species_NS.max(axis=1).astype(float)[:, None]
                        right_ND = (species_NS.argmax(axis=1) == labels_N)[:, None]
                    else:
                        lineages = roll_up.lineages(species_NS)
                        probability_ND = lineages.probability_BD
                        right_ND = roll_up.holds(lineages.taxon_BD, plants.species.tolist())
                    seen, world = curve(probability_ND[val], right_ND[val]), curve(probability_ND[rest], right_ND[rest])
                    said_K = np.asarray([round(num_val * one.answered) for one in seen])
                    wrong_K = np.asarray([round(n * (1 - one.right)) for n, one in zip(said_K, seen, strict=True)])
                    for name, rule in RULES.items():
                        if rule is not None:
                            at = rule(said_K, wrong_K)
                        else:
                            found = find_threshold(WANTED, probability_ND[val], right_ND[val])
                            at = THRESHOLDS.index(found.unsure_below) if found.outcome == "promised" else None
                        kept = at is not None and world[at].right >= WANTED.accuracy
                        rows[name].append(None if at is None else (world[at].answered, kept))
                for name, found_all in rows.items():
                    made = [one for one in found_all if one is not None]
                    kept = f"{np.mean([one[1] for one in made]):.1%}" if made else ""
                    answered = sum(one[0] for one in made) / len(found_all)
                    print(
                        f"| {'val' if refit else 'everything'} | {'species' if alone else 'any rank'} | {num_val} | {name} | "
                        f"{len(made) / len(found_all):.0%} | {kept} | {answered:.1%} |",
                        flush=True,
                    )


def _unseen(plants: Plants, labels_N: np.ndarray) -> np.ndarray:
    part_N = plants.dealt([1 / NUM_PARTS] * NUM_PARTS, seed=0)
    logits_NS = np.empty((len(labels_N), int(labels_N.max()) + 1), dtype=np.float32)
    for part in range(NUM_PARTS):
        inside_N = part_N == part
        head = teach(plants.features_NF[~inside_N], labels_N[~inside_N])
        logits_NS[inside_N] = head.logits(plants.features_NF[inside_N])
    named_N = logits_NS.argmax(axis=1)
    wrong_N = named_N != labels_N
    order_S = plants.lineage[np.unique(labels_N, return_index=True)[1], 0]
    outside = np.mean(order_S[named_N[wrong_N]] != order_S[labels_N[wrong_N]])
    right = 1 - wrong_N.mean()
    print(f"top-1 {right:.1%} on {len(labels_N):,} photographs; {outside:.0%} of the mistakes name another order\n")
    return logits_NS


if __name__ == "__main__":
    main()
