"""A family as linear heads on one trunk's features: its parent, its children and a flat head, solved and calibrated in memory.

Each head sees its own photographs and nothing of the others': a child stays what it was, to the byte, whatever happens in
other groups. Shapes: N photographs, V views of each, F features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import Family, Floats, Node, softmax
from earthsnap_train.serving.engine import Answer, route
from earthsnap_train.spec.architecture import Routing
from earthsnap_train.training.logistic import Head, Lesson, solve

Targets = Literal["species", "clusters", "groups"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Photographs as a trunk sees them: ``features_NVF``, and the species of each."""

    features_NVF: Floats
    species_N: NDArray[np.str_]

    @classmethod
    def all_of(cls, parts: Iterable["Shown"]) -> Self:
        parts = [one for one in parts if len(one)]
        return cls(
            features_NVF=np.concatenate([one.features_NVF for one in parts]),
            species_N=np.concatenate([one.species_N for one in parts]),
        )

    def of(self, species: Iterable[str]) -> "Shown":
        rows_N = np.isin(self.species_N, list(species))
        return Shown(features_NVF=self.features_NVF[rows_N], species_N=self.species_N[rows_N])

    @property
    def as_served(self) -> Floats:
        """The mean over the views, as a photograph is served."""
        mean_NF: Floats = self.features_NVF.mean(axis=1)
        return mean_NF

    def __len__(self) -> int:
        return len(self.species_N)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """A node's head. ``class_of``: species -> the class that it teaches."""

    targets: Targets
    class_of: Mapping[str, str]
    head: Head
    temperature: float = 1.0

    def labels_of(self, species_N: NDArray[np.str_]) -> NDArray[np.int64]:
        return labels_of(species_N, self.class_of, self.head.classes)

    def probabilities(self, features_BF: Floats) -> Floats:
        """[B, C], calibrated."""
        return softmax(self.head.logits(features_BF), self.temperature)

    def at(self, temperature: float) -> "Solved":
        return replace(self, temperature=temperature)

    def calibrated(self, val: Shown) -> "Solved":
        """With the temperature that fits those of ``val`` that are its own."""
        own = val.of(self.class_of)
        return self.at(fit_temperature(self.head.logits(own.as_served), self.labels_of(own.species_N)))


def labels_of(species_N: NDArray[np.str_], class_of: Mapping[str, str], classes: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(classes)}
    return np.asarray([place[class_of[species]] for species in species_N.tolist()], dtype=np.int64)


def solve_node(
    shown: Shown, class_of: Mapping[str, str], lesson: Lesson, *, targets: Targets = "species", device: str = "cpu"
) -> Solved:
    """``class_of`` gives the classes too, in the order in which they first appear."""
    classes = tuple(dict.fromkeys(class_of.values()))
    own = shown.of(class_of)
    head = solve(own.features_NVF, labels_of(own.species_N, class_of, classes), classes, lesson, device=device)
    return Solved(targets=targets, class_of=class_of, head=head)


def class_of_parent(
    targets: Targets, shown: Shown, groups: Mapping[str, Sequence[str]], *, species_per_cluster: int
) -> dict[str, str]:
    """Species -> the class that a parent so taught has for it."""
    match targets:
        case "species":
            return {one: one for members in groups.values() for one in members}
        case "groups":
            return {one: group for group, members in groups.items() for one in members}
        case "clusters":
            return clusters_of(shown, groups, species_per_cluster=species_per_cluster)


def clusters_of(shown: Shown, groups: Mapping[str, Sequence[str]], *, species_per_cluster: int) -> dict[str, str]:
    """Species -> ``<group>/<number>``: those of a group whose mean photographs are alike (Ward 1963, JASA 58:236)."""
    class_of: dict[str, str] = {}
    for group, members in groups.items():
        num_clusters = -(-len(members) // species_per_cluster)
        number = np.ones(len(members), dtype=np.intp)
        if num_clusters > 1:
            own = [shown.of([one]) for one in members]
            everyone_F = shown.as_served.mean(axis=0)  # of a species without a photograph to learn from
            means_SF = np.stack([one.as_served.mean(axis=0) if len(one) else everyone_F for one in own])
            number = fcluster(linkage(means_SF, method="ward"), num_clusters, criterion="maxclust")
        class_of |= {one: f"{group}/{n}" for one, n in zip(members, number.tolist(), strict=True)}
    return class_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Cascade:
    """``groups``: group -> its species, in the order of its child's classes."""

    parent: Solved
    children: Mapping[str, Solved]
    groups: Mapping[str, Sequence[str]]
    routing: Routing

    def family(self) -> Family:
        """A family whose trunk and heads are known here alone: a head is named as its node is."""
        nodes = {"parent": self.parent, **{f"child/{group}": child for group, child in self.children.items()}}
        return Family(
            architecture="shared_trunk",
            nodes={name: node_of(solved, trunk="", head=name) for name, solved in nodes.items()},
            species=tuple(species for members in self.groups.values() for species in members),
            group_of={species: group for group, members in self.groups.items() for species in members},
            routing=self.routing,
            preprocessing=Preprocessing(image_px=0, crop_fraction=1.0, interpolation="bicubic"),
        )

    def probabilities(self, node: Node, features_BF: Floats) -> Floats:
        """[B, C], calibrated, of a node of ``family``."""
        solved = self.parent if node.head == "parent" else self.children[node.head.removeprefix("child/")]
        return solved.probabilities(features_BF)

    def answer(self, features_BF: Floats) -> Answer:
        return route(self.family(), self, features_BF)

    def surprise(self, val: Shown) -> float:
        """Mean of -log P(true species), in nats."""
        family = self.family()
        place = {species: number for number, species in enumerate(family.species)}
        truth_N = [place[species] for species in val.species_N.tolist()]
        p_N = self.answer(val.as_served).species_BS[np.arange(len(val)), truth_N]
        return float(-np.log(p_N.astype(np.float64) + 1e-9).mean())


def node_of(
    solved: Solved,
    *,
    trunk: str,
    head: str,
    trunk_multiply_adds: int = 0,
    quantization: Literal["none", "int8"] = "none",
) -> Node:
    return Node(
        targets=solved.targets,
        classes=solved.head.classes,
        temperature=solved.temperature,
        trunk=trunk,
        head=head,
        trunk_multiply_adds=trunk_multiply_adds,
        head_multiply_adds=solved.head.weight_CF.size,
        quantization=quantization,
    )
