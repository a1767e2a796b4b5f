"""What both benchmarks share: the features, a taxonomy of them, and linear heads taught on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from earthsnap_train.taxonomy.tree import Species, Taxonomy

RANKS = ("order", "family", "genus")
WEIGHT_DECAY = 3e-4
NUM_STEPS = 60


@dataclass(frozen=True, eq=False)
class Plants:
    """``lineage`` [photographs, ranks], highest first; ``""`` where a rank is not known."""

    features_NF: np.ndarray
    cluster: np.ndarray
    species: np.ndarray
    lineage: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Plants":
        found = np.load(path)
        return cls(found["features"], found["cluster"], found["species"], found["lineage"])

    def taxonomy(self, species: Sequence[str]) -> Taxonomy:
        ranks_of = dict(zip(self.species.tolist(), self.lineage.tolist(), strict=True))
        flora = (
            Species(
                species_id=one,
                scientific_name=one,
                common_name=None,
                ranks=tuple((rank, taxon) for rank, taxon in zip(RANKS, ranks_of[one], strict=True) if taxon),
            )
            for one in sorted(species)
        )
        return Taxonomy(ranks=RANKS, species=tuple(flora))

    def dealt(self, shares: Sequence[float], seed: int) -> np.ndarray:
        """For each photograph which part it falls to; clusters stay whole."""
        names, cluster = np.unique(self.cluster, return_inverse=True)
        drawn = np.random.default_rng(seed).random(len(names))
        return np.searchsorted(np.cumsum(shares)[:-1], drawn)[cluster]


@dataclass(frozen=True, eq=False)
class Head:
    mean_F: np.ndarray
    scale: float
    weights_CF: np.ndarray
    bias_C: np.ndarray

    def scaled(self, features_NF: np.ndarray) -> np.ndarray:
        return (features_NF - self.mean_F) / self.scale

    def logits(self, features_NF: np.ndarray) -> np.ndarray:
        return (self.scaled(features_NF) @ self.weights_CF.T + self.bias_C).astype(np.float32)


def teach(features_NF: np.ndarray, labels_N: np.ndarray) -> Head:
    """Multinomial logistic regression by L-BFGS."""
    mean_F = features_NF.mean(axis=0)
    scale = float(np.sqrt((features_NF - mean_F).var()))
    inputs_NF = torch.from_numpy(((features_NF - mean_F) / scale).astype(np.float32))
    targets_N = torch.from_numpy(labels_N.astype(np.int64))
    num_classes = int(labels_N.max()) + 1
    weights_CF = torch.zeros(num_classes, inputs_NF.shape[1], requires_grad=True)
    bias_C = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights_CF, bias_C], max_iter=NUM_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch.addmm(bias_C, inputs_NF, weights_CF.T), targets_N)
        loss = loss + WEIGHT_DECAY / 2 * weights_CF.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return Head(mean_F, scale, weights_CF.detach().numpy(), bias_C.detach().numpy())
