"""Where the models of a release lie in its folder."""

from pathlib import Path

from earthsnap_train.models.family import Family


def model_files(family: Family, release: Path) -> dict[str, Path]:
    """Digest -> file, for every trunk and head of a release."""
    heads = {node.head: release / "nodes" / f"{name.replace('/', '--')}.onnx" for name, node in family.nodes.items()}
    return heads | {node.trunk: release / "trunks" / f"{node.trunk[:12]}.onnx" for node in family.nodes.values()}
