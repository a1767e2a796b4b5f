"""Stage ``ablate``: solves the heads again with one part changed at a time, and names the test split with each.

Writes ``ablation.json``, a list of ``Variation``. Everything else is as the family's own: the trunk, the photographs, the
calibration on val.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.evaluation.ablation import variations
from earthsnap_train.evaluation.intervals import number_clusters
from earthsnap_train.models.family import Floats, Node
from earthsnap_train.spec.architecture import NamedFirst
from earthsnap_train.taxonomy.tree import Taxonomy
from earthsnap_train.training.cascade import Cascade, Shown, Solved, Targets, class_of_parent, solve_node
from earthsnap_train.training.heads import CANDIDATES, Settings, device_of, read_originals, read_shown
from earthsnap_train.training.logistic import Lesson

Probabilities = Floats


class AblateSettings(Settings):
    named_first: NamedFirst


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = AblateSettings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    test = read_originals(inputs, list(s.groups), "test")
    clusters = [
        cluster for group in s.groups for cluster in Examples.read(inputs[f"examples/{group}"]).of("test").cluster_ids
    ]
    taught = Node.model_validate_json((inputs["heads"] / "parent" / "node.json").read_bytes()).targets
    bench = _Bench(s, inputs, device_of(context))
    named: dict[str, Probabilities] = {}
    for name, p_BS in bench.named(test, taught):
        named[name] = p_BS
        context.events.progress(len(named), len(named) + 1, "variations")
    group_of = {species: group for group, members in s.groups.items() for species in members}
    taxonomy = Taxonomy.read(inputs["manifest"] / "taxonomy.parquet")
    rows = variations(
        list(group_of), test.species_N, named, taxonomy, group_of, number_clusters(clusters, len(test)), s.named_first
    )
    (out / "ablation.json").write_text(json.dumps([row.model_dump() for row in rows], indent=1))


class _Bench:
    """What every variation shares: photographs to learn from and to calibrate on."""

    def __init__(self, s: Settings, inputs: Mapping[str, Path], device: str) -> None:
        self.s = s
        self.device = device
        self.shown = {group: read_shown(inputs, group, s.splits) for group in s.groups}
        self.everything = Shown.all_of(self.shown.values())
        self.val = read_originals(inputs, list(s.groups), "val")

    def named(self, test: Shown, taught: Targets) -> Iterator[tuple[str, Probabilities]]:
        s, seen_NF = self.s, test.as_served
        declared = self.cascade(taught, s.lesson)
        yield "as declared", declared.answer(seen_NF).species_BS
        parents = {targets: self.parent(targets, s.lesson) for targets in CANDIDATES if targets != taught}
        for targets, parent in parents.items():
            yield f"parent taught {targets}", replace(declared, parent=parent).answer(seen_NF).species_BS

        def routed(**changes: object) -> Probabilities:
            return replace(declared, routing=s.routing.model_copy(update=changes)).answer(seen_NF).species_BS

        other = "soft" if s.routing.kind == "hard" else "hard"
        yield f"{other} routing", routed(kind=other)
        raw = {group: child.at(1.0) for group, child in declared.children.items()}
        uncalibrated = replace(declared, parent=declared.parent.at(1.0), children=raw)
        yield "no temperatures", uncalibrated.answer(seen_NF).species_BS
        if s.routing.parent_weight:
            yield "children divide their groups alone", routed(parent_weight=0.0)
        else:
            yield "parent and child divide a group", routed(parent_weight=0.5)
        heads = s.lesson.heads
        if heads.imbalance == "logit_adjustment":
            yield "no logit adjustment", self.taught_as(taught, {"imbalance": "none"}, seen_NF)
        else:
            yield "logit adjustment", self.taught_as(taught, {"imbalance": "logit_adjustment"}, seen_NF)
        name = "features instead of their roots" if heads.roots else "roots of the features"
        yield name, self.taught_as(taught, {"roots": not heads.roots}, seen_NF)
        name = "features not whitened" if heads.whitening else "whitened features"
        yield name, self.taught_as(taught, {"whitening": 0.0 if heads.whitening else 0.2}, seen_NF)
        if self.everything.features_NVF.shape[1] > 1:
            yield "mirror images not taught", self.cascade(taught, s.lesson, views=1).answer(seen_NF).species_BS
        # A parent taught species is a flat head.
        yield "one flat head", ({taught: declared.parent} | parents)["species"].probabilities(seen_NF)

    def taught_as(self, targets: Targets, changes: Mapping[str, object], seen_NF: Floats) -> Probabilities:
        lesson = self.s.lesson
        changed = lesson.model_copy(update={"heads": lesson.heads.model_copy(update=changes)})
        return self.cascade(targets, changed).answer(seen_NF).species_BS

    def cascade(self, targets: Targets, lesson: Lesson, *, views: int | None = None) -> Cascade:
        children = {
            group: self.solved(self.shown[group], {one: one for one in members}, "species", lesson, views)
            for group, members in self.s.groups.items()
            if len(members) > 1
        }
        parent = self.parent(targets, lesson, views=views)
        return Cascade(parent=parent, children=children, groups=self.s.groups, routing=self.s.routing)

    def parent(self, targets: Targets, lesson: Lesson, *, views: int | None = None) -> Solved:
        class_of = class_of_parent(
            targets, self.everything, self.s.groups, species_per_cluster=self.s.parent.species_per_cluster
        )
        return self.solved(self.everything, class_of, targets, lesson, views)

    def solved(
        self, shown: Shown, class_of: Mapping[str, str], targets: Targets, lesson: Lesson, views: int | None
    ) -> Solved:
        own = Shown(features_NVF=np.ascontiguousarray(shown.features_NVF[:, :views]), species_N=shown.species_N)
        return solve_node(own, class_of, lesson, targets=targets, device=self.device).calibrated(self.val)
