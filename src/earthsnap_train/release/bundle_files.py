"""Where the models of a release lie in its folder, and what makes it that release."""

import hashlib
import json
from pathlib import Path

from earthsnap_train.models.family import Family


def model_files(family: Family, release: Path) -> dict[str, Path]:
    """Digest -> file, for every trunk and head of a release."""
    heads = {node.head: release / "nodes" / f"{name.replace('/', '--')}.onnx" for name, node in family.nodes.items()}
    return heads | {node.trunk: release / "trunks" / f"{node.trunk[:12]}.onnx" for node in family.nodes.values()}


def release_digest(folder: Path) -> str:
    """What a release is: models, classes, taxonomy, grouping, routing, calibration and preprocessing; not when or where."""
    family = json.loads((folder / "family.json").read_bytes())
    taxonomy = hashlib.sha256((folder / "taxonomy.parquet").read_bytes()).hexdigest()
    canonical = json.dumps({"family": family, "taxonomy": taxonomy}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
