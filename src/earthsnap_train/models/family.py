"""A family as numbers: which nodes there are, and how their logits become one probability for every species.

numpy alone: evaluation and serving share it. Shapes: B photographs, G groups, S species, C classes of one node.
"""

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.spec.architecture import ArchitectureKind, NamedFirst, Routing

Floats = NDArray[np.float32]
LEAST = np.float32(1e-12)  # so that nothing is impossible


class Node(BaseModel):
    """One exported classifier. ``trunk`` and ``head`` are sha256 of their ONNX files; equal trunks run once.

    ``targets``: what its classes are; ``clusters`` are parts of a group, named ``<group>/<number>``. ``quantization``: of
    the trunk. ``gone``: of a parent that was kept while species came and went, its classes that are no more -> the group
    that has what they had.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Literal["groups", "species", "clusters"]
    classes: tuple[str, ...]
    temperature: float
    trunk: str
    head: str
    trunk_multiply_adds: int
    head_multiply_adds: int
    quantization: Literal["none", "int8"] = "none"
    gone: dict[str, str] = Field(default={}, exclude_if=operator.not_)

    @property
    def multiply_adds(self) -> int:
        """Of one photograph, through trunk and head."""
        return self.trunk_multiply_adds + self.head_multiply_adds


class Family(BaseModel):
    """All nodes and their routing. ``species`` gives the order of every species axis; ``group_of`` covers each of them.

    A family with a ``flat`` architecture has the one node ``flat``. A group with one species has no child. The parent may
    be older than the species: it then lacks classes, or has some that are no more. A name less likely than
    ``unsure_below`` rolls up; it is 0.7 in a release that was made without it. One without ``named_first`` names the
    likeliest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: ArchitectureKind
    nodes: dict[str, Node]
    species: tuple[str, ...]
    group_of: dict[str, str]
    routing: Routing | None
    preprocessing: Preprocessing
    unsure_below: float = 0.7
    named_first: NamedFirst = Field(default="likeliest", exclude_if="likeliest".__eq__)

    @field_validator("routing", mode="before")
    @classmethod
    def _of_older_releases(cls, routing: object) -> object:
        """Before a parent had a say, a group was divided by its child alone."""
        return {"parent_weight": 0.0, **routing} if isinstance(routing, dict) else routing

    @cached_property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.group_of[s] for s in self.species))

    @property
    def quantized(self) -> bool:
        """Whether any of its networks computes in integers."""
        return any(node.quantization != "none" for node in self.nodes.values())

    @cached_property
    def classes_digest(self) -> str:
        """Names the species axis: equal for two families that can name the same, in the same order."""
        return hashlib.sha256(json.dumps(self.species).encode()).hexdigest()

    @cached_property
    def root(self) -> Node:
        """The node that sees every photograph."""
        return self.nodes["flat" if self.architecture == "flat" else "parent"]

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {group: place for place, group in enumerate(self.groups)}

    @cached_property
    def _owners(self) -> NDArray[np.intp]:
        """The place of each species' group."""
        return np.asarray([self._place[self.group_of[s]] for s in self.species], dtype=np.intp)

    @cached_property
    def _members(self) -> Mapping[str, NDArray[np.intp]]:
        return {group: np.flatnonzero(self._owners == place) for group, place in self._place.items()}

    @cached_property
    def _groups_of_root(self) -> NDArray[np.intp]:
        return places_of_classes(self.root, self.group_of, self.groups)

    @cached_property
    def _columns(self) -> NDArray[np.intp]:
        """Where each species' class is [S], for a root taught species; -1 for a species that it was not taught."""
        column = {name: place for place, name in enumerate(self.root.classes)}
        return np.asarray([column.get(name, -1) for name in self.species], dtype=np.intp)

    def members(self, group: str) -> NDArray[np.intp]:
        """Places of a group's species on the species axis."""
        return self._members[group]

    def child(self, group: str) -> Node | None:
        return self.nodes.get(f"child/{group}")

    def group_probabilities(self, root_BC: Floats) -> Floats:
        """The root's class probabilities [B, C] as probabilities of groups [B, G]."""
        return summed_by_group(root_BC, self._groups_of_root, len(self.groups))

    def children_to_run(self, groups_BG: Floats) -> NDArray[np.bool_]:
        """Which groups' children are worth asking, per photograph [B, G]."""
        if self.routing is None:
            return np.zeros(groups_BG.shape, dtype=np.bool_)
        order_BG = np.argsort(-groups_BG, axis=1, kind="stable")
        sorted_BG = np.take_along_axis(groups_BG, order_BG, axis=1)
        covered_before_BG = np.zeros_like(sorted_BG)
        np.cumsum(sorted_BG[:, :-1], axis=1, out=covered_before_BG[:, 1:])
        limit = 1 if self.routing.kind == "hard" else self.routing.top_k
        wanted_BG = (covered_before_BG < self.routing.mass) & (np.arange(groups_BG.shape[1]) < limit)
        wanted_BG[:, 0] = True
        chosen_BG = np.zeros_like(wanted_BG)
        np.put_along_axis(chosen_BG, order_BG, wanted_BG, axis=1)
        return chosen_BG

    def species_probabilities(self, root_BC: Floats, children: Mapping[str, tuple[NDArray[np.intp], Floats]]) -> Floats:
        """P(species) = P(group) * P(species | group) [B, S], the latter of the child, with the parent where it has a say.

        ``children``: group -> (which photographs were asked [N], its probabilities [N, members]). Where a child was not
        asked, the parent's own division among its species stands in: that of a parent taught species, else an equal one. A
        species that such a parent was not taught then has an equal part. ``hard`` routing gives all mass to the first group.
        """
        groups_BG = self.group_probabilities(root_BC)
        species_BS = self._by_parent_alone(root_BC, groups_BG)
        if self.routing is None:
            return species_BS
        species_BS = species_BS.copy()
        if self.routing.kind == "hard":
            first_B = groups_BG.argmax(axis=1)
            species_BS *= self._owners == first_B[:, None]
            species_BS /= species_BS.sum(axis=1, keepdims=True)
            groups_BG = np.eye(len(self.groups), dtype=np.float32)[first_B]
        for group, (asked_N, child_NM) in children.items():
            rows = np.ix_(asked_N, self.members(group))
            mass_N1 = groups_BG[asked_N, self._place[group]][:, None]
            species_BS[rows] = mass_N1 * self._divided(group, child_NM, species_BS[rows])
        return species_BS

    def _divided(self, group: str, child_NM: Floats, parent_NM: Floats) -> Floats:
        """A group's mass among its species: the weighted geometric mean of what its child and the parent say.

        A child has never seen what lies outside its group, and a parent that was taught all species of it has.
        """
        assert self.routing is not None
        weight = np.float32(self.routing.parent_weight)
        knows_all = self.root.targets == "species" and bool((self._columns[self.members(group)] >= 0).all())
        if not weight or not knows_all:
            return child_NM
        logs_NM = (1 - weight) * np.log(child_NM + LEAST) + weight * np.log(parent_NM + LEAST)
        return softmax(logs_NM.astype(np.float32))

    def _by_parent_alone(self, root_BC: Floats, groups_BG: Floats) -> Floats:
        """What the root makes of each species [B, S]; those of a group sum to the group's."""
        is_taught_species = self.root.targets == "species"
        taught_S = self._columns >= 0
        if is_taught_species and taught_S.all() and len(self.root.classes) == len(self.species):
            return root_BC[:, self._columns]
        size_S: Floats = np.bincount(self._owners)[self._owners].astype(np.float32)
        equal_BS: Floats = groups_BG[:, self._owners] / size_S
        if not is_taught_species:
            return equal_BS
        own_BS = np.where(taught_S, root_BC[:, self._columns], np.float32(0))
        own_BG = np.zeros_like(groups_BG)
        np.add.at(own_BG.T, self._owners, own_BS.T)
        num_taught_S = np.bincount(self._owners, weights=taught_S).astype(np.float32)[self._owners]
        within_BS = _divided(
            own_BS, own_BG[:, self._owners], instead=np.reciprocal(np.maximum(num_taught_S, np.float32(1)))
        )
        part_BS = np.where(taught_S, within_BS * num_taught_S, np.float32(1)).astype(np.float32)
        return equal_BS * part_BS


def places_of_classes(root: Node, group_of: Mapping[str, str], groups: Sequence[str]) -> NDArray[np.intp]:
    """The place of the group that has the mass of each of a root's classes [C]; -1 where no group has it."""
    place = {group: at for at, group in enumerate(groups)}

    def owner(name: str) -> str | None:
        match root.targets:
            case "species":
                return group_of.get(name)
            case "clusters":
                return name.rpartition("/")[0]
            case "groups":
                return name

    places = [place.get(owner(name) or "", place.get(root.gone.get(name, ""), -1)) for name in root.classes]
    return np.asarray(places, dtype=np.intp)


def summed_by_group(root_BC: Floats, places_C: NDArray[np.intp], num_groups: int) -> Floats:
    """[B, G]. Classes whose mass no group has (-1) are left out, and the others make up for it."""
    groups_BG = np.zeros((len(root_BC), num_groups), dtype=np.float32)
    kept_C = places_C >= 0
    if kept_C.all():
        np.add.at(groups_BG.T, places_C, root_BC.T)
        return groups_BG
    np.add.at(groups_BG.T, places_C[kept_C], root_BC.T[kept_C])
    return _divided(groups_BG, groups_BG.sum(axis=1, keepdims=True), instead=1 / num_groups)


def _divided(part: Floats, whole: Floats, *, instead: float | Floats) -> Floats:
    """``part / whole``, and ``instead`` where the whole is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts: Floats = np.where(whole > 0, part / whole, np.float32(instead))
    return parts


def softmax(logits_BC: Floats, temperature: float = 1.0) -> Floats:
    scaled_BC = logits_BC / np.float32(temperature)
    exponent_BC = np.exp(scaled_BC - scaled_BC.max(axis=1, keepdims=True))
    result: Floats = exponent_BC / exponent_BC.sum(axis=1, keepdims=True)
    return result
