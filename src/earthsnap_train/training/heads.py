"""Stage ``heads``: every head of a family on one trunk, solved, calibrated and exported in one go.

Writes for each node ``<node>/node.json`` and ``<node>/head.onnx``, as stage ``export`` does for one; ``class_of.json``
(species -> class of the parent, or its group where the parent was kept); and ``notes/parents.json``: what val said of each
way of teaching the parent.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.errors import DataError
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.export import sha256_of
from earthsnap_train.models.family import Node
from earthsnap_train.models.heads import head_to_onnx
from earthsnap_train.spec.architecture import Routing, TrunkParent
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.training.cascade import Cascade, Shown, Solved, Targets, class_of_parent, node_of, solve_node
from earthsnap_train.training.logistic import Lesson

CANDIDATES: tuple[Targets, ...] = ("species", "clusters", "groups")


class Settings(SpecModel):
    """``groups``: group -> its species. ``splits``: what is learnt from. ``flat``: whether a flat head is wanted too."""

    groups: dict[str, list[str]]
    parent: TrunkParent
    routing: Routing
    lesson: Lesson
    splits: list[str]
    flat: bool
    quantization: Literal["none", "int8"]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Input ``calibrated``, where there is one: the heads whose temperatures are kept, and whose parent's classes are.

    Else ``originals`` holds the features of val that they are calibrated on. Input ``check``, where there is one: stage
    ``check/parent``, whose parent is taken as it is.
    """
    s = Settings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    device = device_of(context)
    groups = {group: read_shown(inputs, group, s.splits) for group in s.groups}
    for group, members in s.groups.items():
        if len(members) > 1 and not len(groups[group]):
            raise DataError(
                f"no photograph of {', '.join(members)} is there to learn from",
                where=f"group {group}",
                remedy="add photographs, or give dataset.split.train a larger share",
            )
    everything = Shown.all_of(groups.values())
    val = None if "calibrated" in inputs else read_originals(inputs, list(s.groups), "val")

    def solved(name: str, shown: Shown, class_of: Mapping[str, str], targets: Targets = "species") -> Solved:
        one = solve_node(shown, class_of, s.lesson, targets=targets, device=device)
        if val is not None:
            return one.calibrated(val)
        earlier = Node.model_validate_json((inputs["calibrated"] / name / "node.json").read_bytes())
        return one.at(earlier.temperature)

    children: dict[str, Solved] = {}
    for done, (group, members) in enumerate(s.groups.items()):
        if len(members) > 1:
            children[group] = solved(f"child/{group}", groups[group], {one: one for one in members})
        context.events.progress(done + 1, len(s.groups) + 1, "heads")

    def class_of(targets: Targets) -> dict[str, str]:
        return class_of_parent(targets, everything, s.groups, species_per_cluster=s.parent.species_per_cluster)

    if "check" in inputs and (kept := inputs["check"] / "parent").is_dir():
        flat = {"flat": solved("flat", everything, class_of("species"))} if s.flat else {}
        _write({f"child/{group}": child for group, child in children.items()} | flat, s, inputs, out)
        shutil.copytree(kept, out / "parent")
        (out / "class_of.json").write_text(json.dumps(class_of("groups"), ensure_ascii=False))
        return

    wanted = _wanted(s, inputs, can_choose=val is not None and len(val) > 0)
    if val is None:  # the very clusters that the calibrated parent was taught
        classes = {wanted[0]: json.loads((inputs["calibrated"] / "class_of.json").read_text())}
    else:
        classes = {targets: class_of(targets) for targets in wanted}
    parents = {targets: solved("parent", everything, classes[targets], targets) for targets in wanted}
    surprise: dict[Targets, float] = {}
    chosen = wanted[0]
    if val is not None and len(wanted) > 1:
        for targets, parent in parents.items():
            cascade = Cascade(parent=parent, children=children, groups=s.groups, routing=s.routing)
            surprise[targets] = round(cascade.surprise(val), 6)
        chosen = min(surprise, key=lambda targets: surprise[targets])
    nodes = {"parent": parents[chosen], **{f"child/{group}": child for group, child in children.items()}}
    if s.flat:
        nodes["flat"] = parents.get("species") or solved("flat", everything, class_of("species"))
    _write(nodes, s, inputs, out)
    (out / "class_of.json").write_text(json.dumps(parents[chosen].class_of, ensure_ascii=False))
    (out / "notes").mkdir()
    (out / "notes" / "parents.json").write_text(json.dumps({"taught": chosen, "surprise": surprise}))
    context.events.progress(len(s.groups) + 1, len(s.groups) + 1, "heads")


def _wanted(s: Settings, inputs: Mapping[str, Path], *, can_choose: bool) -> tuple[Targets, ...]:
    """What the parent is taught; several ways of it where val shall say which."""
    if "calibrated" in inputs:
        return (Node.model_validate_json((inputs["calibrated"] / "parent" / "node.json").read_bytes()).targets,)
    if s.parent.targets != "auto":
        return (s.parent.targets,)
    return CANDIDATES if can_choose else CANDIDATES[:1]


def device_of(context: Context) -> str:
    """As torch names it."""
    return f"cuda:{context.resources.devices[0]}" if context.resources.accelerator == "cuda" else "cpu"


def read_shown(inputs: Mapping[str, Path], group: str, splits: list[str]) -> Shown:
    """Stored photographs of a group, in all their views."""
    chosen = Examples.read(inputs[f"examples/{group}"]).of(*splits)
    features_NVF = Embeddings({"": inputs[f"embed/{group}"]}).of(chosen.image_ids)
    if features_NVF.ndim == 2:
        features_NVF = features_NVF[:, None]
    return Shown(features_NVF=features_NVF, species_N=np.asarray(chosen.species_ids, dtype=np.str_))


def read_originals(inputs: Mapping[str, Path], groups: list[str], split: str) -> Shown:
    """Photographs as users send them, group after group."""
    examples = [Examples.read(inputs[f"examples/{group}"]).of(split) for group in groups]
    seen = Embeddings({"": inputs["originals"]})
    features_NF = np.concatenate([seen.of(one.image_ids) for one in examples])
    species = [name for one in examples for name in one.species_ids]
    return Shown(features_NVF=features_NF[:, None], species_N=np.asarray(species, dtype=np.str_))


def _write(nodes: Mapping[str, Solved], s: Settings, inputs: Mapping[str, Path], out: Path) -> None:
    trunk = sha256_of(inputs["trunk"] / "trunk.onnx")
    multiply_adds = json.loads((inputs["trunk"] / "trunk.json").read_text())["multiply_adds"]
    for name, solved in nodes.items():
        folder = out / name
        folder.mkdir(parents=True)
        head = solved.head
        head_to_onnx(folder / "head.onnx", weight_CF=head.weight_CF, bias_C=head.bias_C, of_roots=head.of_roots)
        node = node_of(
            solved, trunk=trunk, head=sha256_of(folder / "head.onnx"), trunk_multiply_adds=multiply_adds,
            quantization=s.quantization,
        )  # fmt: skip
        (folder / "node.json").write_text(node.model_dump_json(indent=1))
