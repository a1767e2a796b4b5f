"""Which photographs make up batch number ``step``: a pure function of seed and step, whoever asks and from wherever.

Training is one endless stream: epoch after epoch of shuffled examples, cut into full batches. A run that was stopped
goes on with the very batches that would have followed, and all it has to remember is its step.
"""

from collections.abc import Iterator
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from earthsnap_train.errors import ConfigError

Balance = Literal["none", "sqrt", "balanced"]
# A class with n examples is drawn in proportion to n to this power.
_POWER: dict[Balance, float] = {"none": 1.0, "sqrt": 0.5, "balanced": 0.0}


class Picks(NamedTuple):
    """Examples by position, and how often each was picked before: augmentation varies with ``visits``."""

    positions: npt.NDArray[np.int64]
    visits: npt.NDArray[np.int64]


class ShuffledBatches:
    """Batches ``start_step`` to ``num_steps`` (``None``: without end) of the training stream.

    ``batch_size`` counts all ranks together, and rank r takes every ``world_size``-th pick of it: the number of devices
    changes who computes a batch, never what is in it. An epoch has as many picks as there are examples. With
    ``balance`` frequent classes give up picks to rare ones, by fixed quotas, and no example is picked again before all
    of its class had their turn. Raises ``ConfigError`` where the batch cannot be divided.
    """

    def __init__(
        self,
        *,
        labels: npt.NDArray[np.integer],
        batch_size: int,
        seed: int,
        balance: Balance = "none",
        start_step: int = 0,
        num_steps: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(labels) == 0:
            raise ValueError("no examples to draw batches from")
        if batch_size % world_size:
            raise ConfigError(
                f"a batch of {batch_size} cannot be divided among {world_size} devices",
                where="training.batch_size",
                allowed=f"a multiple of {world_size}",
            )
        self._strata = _strata(labels, balance)
        self._num_examples = len(labels)
        self._batch_size = batch_size
        self._seed = seed
        self._steps = (start_step, num_steps)
        self._rank, self._world_size = rank, world_size
        self._epoch: tuple[int, Picks] | None = None

    def __iter__(self) -> Iterator[Picks]:
        start, stop = self._steps
        return map(self.batch, count(start) if stop is None else range(start, stop))

    def __len__(self) -> int:
        start, stop = self._steps
        if stop is None:
            raise TypeError("a stream without end has no length")
        return max(0, stop - start)

    def batch(self, step: int) -> Picks:
        """This rank's share of batch ``step``."""
        places = np.arange(step * self._batch_size, (step + 1) * self._batch_size)[self._rank :: self._world_size]
        epochs, within = np.divmod(places, self._num_examples)
        parts = []
        for epoch in np.unique(epochs):
            picks = self._picks_of(int(epoch))
            chosen = within[epochs == epoch]
            parts.append(Picks(picks.positions[chosen], picks.visits[chosen]))
        return Picks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _picks_of(self, epoch: int) -> Picks:
        if self._epoch is None or self._epoch[0] != epoch:
            parts = [self._share(label, members, quota, epoch) for label, members, quota in self._strata]
            positions, visits = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            order = _rng(self._seed, 1, epoch).permutation(len(positions))
            self._epoch = (epoch, Picks(positions[order], visits[order]))
        return self._epoch[1]

    def _share(self, label: int, members: npt.NDArray[np.int64], quota: int, epoch: int) -> Picks:
        """What one class gives to an epoch: the next ``quota`` picks of its own endless stream of permutations."""
        visits, within = np.divmod(np.arange(epoch * quota, (epoch + 1) * quota), len(members))
        positions = np.empty_like(visits)
        for visit in np.unique(visits):
            now = visits == visit
            positions[now] = members[_rng(self._seed, 0, label, int(visit)).permutation(len(members))[within[now]]]
        return Picks(positions, visits)


class SequentialBatches:
    """Every example once, in order; the last batch may be short. ``rank`` takes every ``world_size``-th example."""

    def __init__(self, *, num_examples: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self._positions = np.arange(rank, num_examples, world_size, dtype=np.int64)
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[Picks]:
        for start in range(0, len(self._positions), self._batch_size):
            positions = self._positions[start : start + self._batch_size]
            yield Picks(positions, np.zeros_like(positions))

    def __len__(self) -> int:
        return -(-len(self._positions) // self._batch_size)


def _strata(labels: npt.NDArray[np.integer], balance: Balance) -> list[tuple[int, npt.NDArray[np.int64], int]]:
    """Classes with their members and how many of an epoch's picks each gets (largest remainders, at least one)."""
    if balance == "none":
        return [(0, np.arange(len(labels)), len(labels))]
    present, counts = np.unique(labels, return_counts=True)
    weights = counts ** _POWER[balance]
    shares = len(labels) * weights / weights.sum()
    quotas = np.floor(shares).astype(np.int64)
    by_remainder = np.argsort(quotas - shares, kind="stable")
    quotas[by_remainder[: len(labels) - quotas.sum()]] += 1
    return [
        (int(label), np.flatnonzero(labels == label), int(quota)) for label, quota in zip(present, quotas, strict=True)
    ]


def _rng(seed: int, *path: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))
