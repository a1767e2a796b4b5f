"""Puts exported nodes together as one family: for evaluation before there is a release, and for the release itself."""

from collections.abc import Mapping
from pathlib import Path

from earthsnap_train.data.photographs import Photographs
from earthsnap_train.evaluation.certainty import read_calibration
from earthsnap_train.models.family import Family, Node
from earthsnap_train.spec.architecture import ArchitectureKind, NamedFirst, Routing
from earthsnap_train.spec.model import SpecModel


class FamilySettings(SpecModel):
    """``species``: the order of every species axis. ``nodes``: those that answer, each an input ``export/<node>``."""

    architecture: ArchitectureKind
    nodes: list[str]
    species: list[str]
    group_of: dict[str, str]
    routing: Routing | None
    named_first: NamedFirst
    photographs: Photographs


def assemble(s: FamilySettings, inputs: Mapping[str, Path]) -> tuple[Family, dict[str, Path]]:
    """The family, and the ONNX file behind every digest that it names.

    ``inputs`` holds ``export/<node>`` and ``trunk``, and ``calibrated`` where it shall answer as its release will.
    """
    nodes: dict[str, Node] = {}
    files: dict[str, Path] = {}
    for name in s.nodes:
        folder = inputs[f"export/{name}"]
        node = Node.model_validate_json((folder / "node.json").read_bytes())
        own_trunk = folder / "trunk.onnx"
        files[node.head] = folder / "head.onnx"
        files[node.trunk] = own_trunk if own_trunk.is_file() else inputs["trunk"] / "trunk.onnx"
        nodes[name] = node
    family = Family(
        architecture=s.architecture,
        nodes=nodes,
        species=tuple(s.species),
        group_of=s.group_of,
        routing=s.routing,
        preprocessing=s.photographs.preprocessing,
        named_first=s.named_first,
    )
    if "calibrated" in inputs:
        family = family.model_copy(update={"unsure_below": read_calibration(inputs["calibrated"]).unsure_below})
    return family, files
