"""What each option of the loss is worth on test, and how it differs from plain teaching.

    python benchmarks/losses/table.py outputs/losses/packed outputs/losses/answers

Temperatures are fitted on val. Figures are means over the seeds; a difference is that of the same photographs taught with the
same seeds, and its interval (95 %) a bootstrap that draws whole clusters of near duplicates. Severity is the ranks to climb
from the true species to the one that was named, of all photographs (0 where it is right) and of mistakes alone.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from options import OPTIONS, PLAIN

from earthsnap_train.data.examples import Examples
from earthsnap_train.evaluation.family_metrics import distances
from earthsnap_train.evaluation.intervals import bootstrap, number_clusters
from earthsnap_train.evaluation.metrics import NUM_BINS, equal_mass_bins
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.taxonomy.tree import Taxonomy

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One network on test: for each photograph whether it was right, how sure, and how far off [P]."""

    right_P: Floats
    sure_P: Floats
    distance_P: Floats
    label_P: NDArray[np.int64]

    def top1(self, weights_P: Floats) -> float:
        return float(weights_P @ self.right_P / weights_P.sum())

    def macro_recall(self, weights_P: Floats) -> float:
        count_C = np.bincount(self.label_P, weights_P)
        right_C = np.bincount(self.label_P, weights_P * self.right_P)
        return float(np.mean(right_C[count_C > 0] / count_C[count_C > 0]))

    def severity(self, weights_P: Floats) -> float:
        return float(weights_P @ self.distance_P / weights_P.sum())

    def mistake_severity(self, weights_P: Floats) -> float:
        num_mistakes = float(weights_P @ (1 - self.right_P))
        return float(weights_P @ self.distance_P) / num_mistakes if num_mistakes else 0.0

    def ece(self, weights_P: Floats) -> float:
        """The bins are those of all photographs, in every resample."""
        bin_P = equal_mass_bins(self.sure_P)
        gap = np.bincount(bin_P, weights_P * (self.sure_P - self.right_P), NUM_BINS)
        return float(np.abs(gap).sum() / weights_P.sum())


FIGURES: Mapping[str, Callable[[Judged, Floats], float]] = {
    "top-1": Judged.top1,
    "macro recall": Judged.macro_recall,
    "mistake severity": Judged.mistake_severity,
    "severity": Judged.severity,
    "ECE": Judged.ece,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path)
    parser.add_argument("answers", type=Path)
    options = parser.parse_args()
    examples = Examples.read(options.answers)
    taxonomy = Taxonomy.read(options.packed / "taxonomy.parquet")
    judged: dict[str, dict[str, Judged]] = {}  # option -> seed -> network
    for path in sorted(options.answers.glob("seed-*.npz")):
        with np.load(path) as answers:
            for name in OPTIONS:
                if f"{name}/test" in answers:
                    network = judge(answers[f"{name}/val"], answers[f"{name}/test"], examples, taxonomy)
                    judged.setdefault(name, {})[path.stem] = network
    test = examples.of("test")
    clusters = number_clusters(test.cluster_ids, len(test))
    print(f"{len(test)} photographs of test in {clusters.max() + 1} clusters\n")
    print(f"| option | seeds | {' | '.join(FIGURES)} |")
    print("|---|---|" + "---|" * len(FIGURES))
    for name, networks in judged.items():
        ones_P = np.ones(len(test))
        cells = [f"{np.mean([f(one, ones_P) for one in networks.values()]):.4f}" for f in FIGURES.values()]
        print(f"| {name} | {len(networks)} | {' | '.join(cells)} |")
    print("\nThe difference to plain teaching, in the same seeds:\n")
    print(f"| option | {' | '.join(FIGURES)} | top-1, seed by seed |")
    print("|---|" + "---|" * (len(FIGURES) + 1))
    for name, networks in judged.items():
        pairs = [(networks[seed], judged[PLAIN][seed]) for seed in networks if seed in judged.get(PLAIN, {})]
        if name != PLAIN and pairs:
            cells = [difference(f, pairs, clusters) for f in FIGURES.values()]
            each = ", ".join(f"{new.right_P.mean() - old.right_P.mean():+.4f}" for new, old in pairs)
            print(f"| {name} | {' | '.join(cells)} | {each} |")


def judge(val_NC: NDArray[np.float32], test_NC: NDArray[np.float32], examples: Examples, taxonomy: Taxonomy) -> Judged:
    val, test = examples.of("val"), examples.of("test")
    scaled_NC = test_NC.astype(np.float64) / fit_temperature(val_NC, val.labels)
    probability_NC = np.exp(scaled_NC - scaled_NC.max(axis=1, keepdims=True))
    probability_NC /= probability_NC.sum(axis=1, keepdims=True)
    species = dict(zip(examples.labels.tolist(), examples.species_ids, strict=True))
    named = np.array([species[label] for label in probability_NC.argmax(axis=1).tolist()])
    return Judged(
        right_P=(named == np.array(test.species_ids)).astype(np.float64),
        sure_P=probability_NC.max(axis=1),
        distance_P=distances(np.array(test.species_ids), named, taxonomy),
        label_P=test.labels,
    )


def difference(
    figure: Callable[[Judged, Floats], float], pairs: list[tuple[Judged, Judged]], clusters: NDArray[np.intp]
) -> str:
    found = bootstrap(lambda w: float(np.mean([figure(new, w) - figure(old, w) for new, old in pairs])), clusters)
    mark = "**" if found.low > 0 or found.high < 0 else ""
    return f"{mark}{found.value:+.4f}{mark} ({found.low:+.4f} to {found.high:+.4f})"


if __name__ == "__main__":
    main()
