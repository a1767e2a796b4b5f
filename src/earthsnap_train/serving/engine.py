"""Runs a family's exported models: prepared photographs in, a probability for every species out. Never imports torch.

Shapes: B photographs, F features, S species, G groups.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.models.family import Family, Floats, Node, softmax
from earthsnap_train.serving.runtimes import Network, OnnxRuntime, Precision, Runtime


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a batch of photographs was named. ``children_run`` [B] counts the children asked."""

    species_BS: Floats
    groups_BG: Floats
    children_run_B: NDArray[np.intp]


class Models:
    """Opened ONNX files on the CPU; threads may share them. ``files``: the sha256 of every trunk and head -> its file.

    Each opens when it is asked for. At most ``max_mb`` of files are open at once: the one not asked for longest is put out.
    Trunks run in ``runtime``; heads, one small matrix product each, in ONNX Runtime, whose calls cost the least.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        threads: int = 1,
        max_mb: float = float("inf"),
        runtime: Runtime | None = None,
    ) -> None:
        self._files = files
        self._heads = OnnxRuntime(threads=threads)
        self._trunks = runtime or self._heads
        self._max_bytes = max_mb * (1 << 20)
        self._open: OrderedDict[str, Network] = OrderedDict()
        self._lock = threading.RLock()
        self.num_loads = 0
        self.num_evictions = 0

    @property
    def precision(self) -> Precision:
        """Of the trunks."""
        return self._trunks.precision

    @property
    def num_open(self) -> int:
        return len(self._open)

    def is_open(self, digest: str) -> bool:
        return digest in self._open

    def load(self, family: Family) -> None:
        """Opens all of a family where that fits, else what every photograph needs: no first answer waits for the disk."""
        digests = {d: d == node.trunk for node in family.nodes.values() for d in (node.trunk, node.head)}
        if sum(self._num_bytes(digest) for digest in digests) > self._max_bytes:
            digests = {family.root.trunk: True, family.root.head: False}
        for digest, is_trunk in digests.items():
            self._network(digest, is_trunk=is_trunk)

    def _num_bytes(self, digest: str) -> int:
        return self._files[digest].stat().st_size

    def _network(self, digest: str, *, is_trunk: bool) -> Network:
        with self._lock:
            if digest in self._open:
                self._open.move_to_end(digest)
                return self._open[digest]
            model = self._files[digest].read_bytes()
            while self._open and len(model) + sum(map(self._num_bytes, self._open)) > self._max_bytes:
                self._open.popitem(last=False)  # whoever runs it just now still holds it
                self.num_evictions += 1
            self.num_loads += 1
            self._open[digest] = (self._trunks if is_trunk else self._heads).open(model)
            return self._open[digest]

    def features(self, trunk: str, images: Iterable[NDArray[np.uint8]]) -> Floats:
        """[B, F]. One photograph at a time: nearly as fast as a batch on a CPU, and equal whatever the batch."""
        network = self._network(trunk, is_trunk=True)
        return np.concatenate([network(image[None]) for image in images])

    def logits(self, node: Node, features_BF: Floats) -> Floats:
        """[B, C]."""
        return self._network(node.head, is_trunk=False)(features_BF)

    def probabilities(self, node: Node, features_BF: Floats) -> Floats:
        """[B, C], calibrated."""
        return softmax(self.logits(node, features_BF), node.temperature)


class Heads(Protocol):
    """What ``Engine`` asks once it has features; ``Models``, or heads that are nowhere but in memory."""

    def probabilities(self, node: Node, features_BF: Floats) -> Floats: ...


class _Looks:
    """What trunks make of one batch: each looks at a photograph once, whichever nodes ask for it, and only when asked."""

    def __init__(self, models: Models, images_BCHW: NDArray[np.uint8]) -> None:
        self._models = models
        self._images_BCHW = images_BCHW
        self._features: dict[tuple[str, int], Floats] = {}

    def by(self, trunk: str, rows_N: NDArray[np.intp]) -> Floats:
        """[N, F]."""
        rows = rows_N.tolist()
        new = [row for row in rows if (trunk, row) not in self._features]
        if new:
            features_NF = self._models.features(trunk, self._images_BCHW[new])
            self._features |= {(trunk, row): features_F for row, features_F in zip(new, features_NF, strict=True)}
        return np.stack([self._features[trunk, row] for row in rows])


class _Seen:
    """Features of one trunk [B, F] that are there already."""

    def __init__(self, features_BF: Floats) -> None:
        self._features_BF = features_BF

    def by(self, trunk: str, rows_N: NDArray[np.intp]) -> Floats:
        """[N, F]."""
        return self._features_BF[rows_N]


def route(family: Family, heads: Heads, features_BF: Floats) -> Answer:
    """Routes what the one trunk of ``family`` made of a batch."""
    return _route(family, heads, _Seen(features_BF), len(features_BF))


def _route(family: Family, heads: Heads, seen: _Looks | _Seen, num_images: int) -> Answer:
    root_BC = heads.probabilities(family.root, seen.by(family.root.trunk, np.arange(num_images)))
    groups_BG = family.group_probabilities(root_BC)
    chosen_BG = family.children_to_run(groups_BG)
    asked: dict[str, tuple[NDArray[np.intp], Floats]] = {}
    children_run_B = np.zeros(num_images, dtype=np.intp)
    for place, group in enumerate(family.groups):
        rows_N = np.flatnonzero(chosen_BG[:, place])
        child = family.child(group)
        if len(rows_N) == 0:
            continue
        if child is None:
            asked[group] = (rows_N, np.ones((len(rows_N), 1), dtype=np.float32))
            continue
        children_run_B[rows_N] += 1
        asked[group] = (rows_N, heads.probabilities(child, seen.by(child.trunk, rows_N)))
    return Answer(
        species_BS=family.species_probabilities(root_BC, asked), groups_BG=groups_BG, children_run_B=children_run_B
    )


class Engine:
    """Routes photographs through a family; a trunk that several nodes share runs once a photograph."""

    def __init__(self, family: Family, models: Models) -> None:
        self.family = family
        self.models = models

    @property
    def precision(self) -> Precision | Literal["int8"]:
        """Of the trunks: that of their files, or what the runtime makes of floats."""
        return "int8" if self.family.quantized else self.models.precision

    def answer(self, images_BCHW: NDArray[np.uint8]) -> Answer:
        """Routes a batch through the family."""
        return _route(self.family, self.models, _Looks(self.models, images_BCHW), len(images_BCHW))
