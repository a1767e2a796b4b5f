"""Stage ``check/parent``: whether the parent of the release ``base`` still routes the photographs that there are now.

Writes ``check.json`` (a ``ParentCheck``) and, where the parent is kept, ``parent/``: its ``head.onnx``, byte for byte, and its
``node.json``, which says besides where the mass of classes goes that are no more. Shapes: N photographs, C classes of the
parent, G groups.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.evaluation.intervals import number_clusters, share
from earthsnap_train.evaluation.parent_check import ParentCheck, Routed
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Family, Node, places_of_classes, summed_by_group
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.release.load import verify
from earthsnap_train.serving.engine import Models
from earthsnap_train.spec.model import SpecModel


class Settings(SpecModel):
    """``groups``: group -> its species, as they are now."""

    groups: dict[str, list[str]]
    min_routing: float


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Raises IntegrityError where a file of the release is not what was registered."""
    s = Settings.model_validate(settings)
    base = _Base.open(inputs["release"])
    examples = {group: Examples.read(inputs[f"examples/{group}"]) for group in s.groups}
    obstacle = _obstacle(base, s, examples, inputs["trunk"])
    new, old = None, None
    if not obstacle:
        parent = base.parent_of(s.groups, examples)
        new, old = _routed(parent, base, s, examples, inputs, context)
    check = ParentCheck(obstacle=obstacle, min_routing=s.min_routing, new=new, old=old)
    (out / "check.json").write_text(check.model_dump_json(indent=1))
    if check.kept:
        (out / "parent").mkdir()
        shutil.copyfile(base.files[parent.head], out / "parent" / "head.onnx")
        (out / "parent" / "node.json").write_text(parent.model_dump_json(indent=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Base:
    """The release. ``split_of``, ``species_of``: of every photograph that it was taught or judged on, by image id.

    Releases from before species were kept there have an empty ``species_of``.
    """

    family: Family
    files: Mapping[str, Path]
    split_of: Mapping[str, str]
    species_of: Mapping[str, str]
    taught_on: frozenset[str]

    @classmethod
    def open(cls, release: Path) -> "_Base":
        family = verify(release)
        images = pq.read_table(release / "lineage" / "images.parquet").to_pydict()
        dataset = json.loads((release / "lineage" / "dataset.json").read_bytes())
        return cls(
            family=family,
            files=model_files(family, release),
            split_of=dict(zip(images["image_id"], images["split"], strict=True)),
            species_of=dict(zip(images["image_id"], images.get("species_id", ()), strict=False)),
            taught_on=frozenset(dataset["taught_on"]),
        )

    def has_learnt_from(self, image_id: str) -> bool:
        return self.split_of.get(image_id) in self.taught_on

    def knows(self, image_id: str, species: str, group: str) -> bool:
        """As this species, in this group."""
        return (
            image_id in self.split_of
            and self.species_of.get(image_id, species) == species
            and self.family.group_of.get(species) == group
        )

    def parent_of(self, groups: Mapping[str, list[str]], examples: Mapping[str, Examples]) -> Node:
        """Its parent, told what has come of its classes that are no more."""
        group_of = {species: group for group, members in groups.items() for species in members}
        root = self.family.root
        places_C = places_of_classes(root, group_of, list(groups))
        lost = [name for name, place in zip(root.classes, places_C, strict=True) if place < 0]
        return root.model_copy(update={"gone": root.gone | dict(self._heirs(lost, groups, examples))})

    def _heirs(
        self, lost: list[str], groups: Mapping[str, list[str]], examples: Mapping[str, Examples]
    ) -> Iterator[tuple[str, str]]:
        """(class, the group where most of its photographs are now); without any, where its species were, if that is there."""
        for name in lost:
            before = {name} if self.family.root.targets == "species" else self._members(name.rpartition("/")[0] or name)
            now = Counter(
                {group: sum(self.species_of.get(i) in before for i in one.image_ids) for group, one in examples.items()}
            )
            group, count = now.most_common(1)[0]
            was_in = self.family.group_of.get(name, "")
            if count or was_in in groups:
                yield name, group if count else was_in

    def _members(self, group: str) -> set[str]:
        return {species for species, its in self.family.group_of.items() if its == group}


def _obstacle(base: _Base, s: Settings, examples: Mapping[str, Examples], trunk: Path) -> str:
    """Why the parent cannot be kept, whatever it routes; empty where nothing is in the way."""
    if "parent" not in base.family.nodes:
        return f"a {base.family.architecture} release has no parent"
    if base.taught_on - {"train"}:
        return "it has learnt from more than the training split, by whose val it would be calibrated"
    root = base.family.root
    if root.trunk != hashlib.sha256((trunk / "trunk.onnx").read_bytes()).hexdigest():
        return "its trunk is another one"
    group_of = {species: group for group, members in s.groups.items() for species in members}
    reached = set(places_of_classes(root, group_of, list(s.groups)).tolist())
    unknown = [group for place, group in enumerate(s.groups) if place not in reached]
    if unknown:
        return f"it knows no group {', '.join(unknown)}"
    seen = sum(base.has_learnt_from(i) for one in examples.values() for i in one.of("test").image_ids)
    if seen:
        return f"it has learnt from {seen:,} photographs that are for testing now"
    return ""


def _routed(
    parent: Node,
    base: _Base,
    s: Settings,
    examples: Mapping[str, Examples],
    inputs: Mapping[str, Path],
    context: Context,
) -> tuple[Routed | None, Routed | None]:
    """What it routes of the new photographs, and of those that the release knows."""
    rows = [
        (image_id, group, cluster, base.knows(image_id, species, group))
        for group, one in examples.items()
        for image_id, species, cluster in _val(one)
        if not base.has_learnt_from(image_id)
    ]
    if not rows:
        return None, None
    image_ids, group_N, cluster_N, known_N = zip(*rows, strict=True)
    models = Models({parent.head: base.files[parent.head]}, threads=context.resources.threads)
    root_NC = models.probabilities(parent, Embeddings({"": inputs["originals"]}).of(image_ids))
    group_of = {species: group for group, members in s.groups.items() for species in members}
    groups_NG = summed_by_group(root_NC, places_of_classes(parent, group_of, list(s.groups)), len(s.groups))
    right_N = np.asarray(list(s.groups))[groups_NG.argmax(axis=1)] == np.asarray(group_N)
    is_known_N, clusters_N = np.asarray(known_N, dtype=np.bool_), np.asarray(cluster_N)
    return _share(right_N, clusters_N, ~is_known_N), _share(right_N, clusters_N, is_known_N)


def _val(examples: Examples) -> Iterator[tuple[str, str, str]]:
    val = examples.of("val")
    return zip(val.image_ids, val.species_ids, val.cluster_ids, strict=True)


def _share(right_N: NDArray[np.bool_], clusters_N: NDArray[np.str_], among_N: NDArray[np.bool_]) -> Routed | None:
    num = int(among_N.sum())
    if not num:
        return None
    return Routed(num_images=num, routing=share(right_N[among_N], number_clusters(clusters_N[among_N], num)))
