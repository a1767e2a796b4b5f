"""Stage ``ablate``: solves the heads again with one part changed at a time, and names the test split with each.

Writes ``ablation.json``, a list of ``Variation``. Everything else is as the family's own: the trunk, the photographs, the
calibration on val.
"""

import json
from collections.abc import Callable, Mapping
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
WHITENING = 0.2  # tried where none is declared


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
    ways = bench.ways(test.as_served, taught)
    named: dict[str, Probabilities] = {}
    for name, way in ways.items():
        named[name] = way()
        context.events.progress(len(named), len(ways), "variations")
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

    def ways(self, seen_NF: Floats, taught: Targets) -> Mapping[str, Callable[[], Probabilities]]:
        """What is varied -> how these photographs are named then."""
        lesson, routing = self.s.lesson, self.s.routing
        heads = lesson.heads
        declared = self.cascade(taught, lesson)
        parents = {taught: declared.parent} | {
            targets: self.parent(targets, lesson) for targets in CANDIDATES if targets != taught
        }
        raw = {group: child.at(1.0) for group, child in declared.children.items()}

        def of(cascade: Cascade) -> Callable[[], Probabilities]:
            return lambda: cascade.answer(seen_NF).species_BS

        def routed(**changes: object) -> Callable[[], Probabilities]:
            return of(replace(declared, routing=routing.model_copy(update=changes)))

        def solved(**changes: object) -> Callable[[], Probabilities]:
            changed = lesson.model_copy(update={"heads": heads.model_copy(update=changes)})
            return lambda: self.cascade(taught, changed).answer(seen_NF).species_BS

        ways = {"as declared": of(declared)}
        ways |= {
            f"parent taught {targets}": of(replace(declared, parent=parents[targets]))
            for targets in CANDIDATES
            if targets != taught
        }
        other = "soft" if routing.kind == "hard" else "hard"
        ways[f"{other} routing"] = routed(kind=other)
        ways["no temperatures"] = of(replace(declared, parent=declared.parent.at(1.0), children=raw))
        if routing.parent_weight:
            ways["children divide their groups alone"] = routed(parent_weight=0.0)
        else:
            ways["parent and child divide a group"] = routed(parent_weight=0.5)
        if heads.imbalance == "logit_adjustment":
            ways["no logit adjustment"] = solved(imbalance="none")
        else:
            ways["logit adjustment"] = solved(imbalance="logit_adjustment")
        ways["features instead of their roots" if heads.roots else "roots of the features"] = solved(
            roots=not heads.roots
        )
        if heads.whitening:
            ways["features not whitened"] = solved(whitening=0.0)
        else:
            ways["whitened features"] = solved(whitening=WHITENING)
        if self.everything.features_NVF.shape[1] > 1:
            ways["mirror images not taught"] = lambda: self.cascade(taught, lesson, views=1).answer(seen_NF).species_BS
        ways["one flat head"] = lambda: parents["species"].probabilities(seen_NF)  # which a parent taught species is
        return ways

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
