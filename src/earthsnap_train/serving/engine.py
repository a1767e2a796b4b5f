"""Runs a family's exported models: prepared photographs in, a probability for every species out. Never imports torch.

Shapes: B photographs, F features, S species, G groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from earthsnap_train.models.family import Family, Floats, Node, softmax


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a batch of photographs was named. ``children_run`` [B] counts the children asked."""

    species_BS: Floats
    groups_BG: Floats
    children_run_B: NDArray[np.intp]


class Models:
    """Opened ONNX files on the CPU. ``files`` maps the sha256 of every trunk and head to its file; each opens when asked."""

    def __init__(self, files: Mapping[str, Path], *, threads: int = 1) -> None:
        self._files = files
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = 3
        self._sessions: dict[str, ort.InferenceSession] = {}

    def _session(self, digest: str) -> ort.InferenceSession:
        if digest not in self._sessions:
            model = self._files[digest].read_bytes()
            self._sessions[digest] = ort.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])
        return self._sessions[digest]

    def features(self, trunk: str, images: Iterable[NDArray[np.uint8]]) -> Floats:
        """[B, F]. One photograph at a time: on a CPU as fast as batches, and equal whatever the batch."""
        session = self._session(trunk)
        result: Floats = np.concatenate([session.run(None, {"images": image[None]})[0] for image in images])
        return result

    def logits(self, node: Node, features_BF: Floats) -> Floats:
        """[B, C]."""
        result: Floats = self._session(node.head).run(None, {"features": features_BF})[0]
        return result

    def probabilities(self, node: Node, features_BF: Floats) -> Floats:
        """[B, C], calibrated."""
        return softmax(self.logits(node, features_BF), node.temperature)


class _Seen:
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


class Engine:
    """Routes photographs through a family; a trunk that several nodes share runs once a photograph."""

    def __init__(self, family: Family, models: Models) -> None:
        self.family = family
        self.models = models

    def answer(self, images_BCHW: NDArray[np.uint8]) -> Answer:
        """Routes a batch through the family."""
        family = self.family
        seen = _Seen(self.models, images_BCHW)
        root_BF = seen.by(family.root.trunk, np.arange(len(images_BCHW)))
        root_BC = self.models.probabilities(family.root, root_BF)
        groups_BG = family.group_probabilities(root_BC)
        chosen_BG = family.children_to_run(groups_BG)
        asked: dict[str, tuple[NDArray[np.intp], Floats]] = {}
        children_run_B = np.zeros(len(images_BCHW), dtype=np.intp)
        for place, group in enumerate(family.groups):
            rows_N = np.flatnonzero(chosen_BG[:, place])
            child = family.child(group)
            if len(rows_N) == 0:
                continue
            if child is None:
                asked[group] = (rows_N, np.ones((len(rows_N), 1), dtype=np.float32))
                continue
            children_run_B[rows_N] += 1
            asked[group] = (rows_N, self.models.probabilities(child, seen.by(child.trunk, rows_N)))
        return Answer(
            species_BS=family.species_probabilities(root_BC, asked), groups_BG=groups_BG, children_run_B=children_run_B
        )

    def top(self, species_S: Floats, count: int) -> Sequence[tuple[str, float]]:
        """The likeliest species of one photograph, best first."""
        order = np.argsort(-species_S, kind="stable")[:count]
        return [(self.family.species[i], float(species_S[i])) for i in order]
