"""Releases that are whole for the registry, and too small to answer anything."""

import hashlib
import json
from pathlib import Path

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry, Release

FLAT = {
    "architecture": "flat",
    "species": ["rosa-canina", "rosa-rugosa"],
    "group_of": {"rosa-canina": "rosaceae", "rosa-rugosa": "rosaceae"},
    "routing": None,
    "preprocessing": {"image_px": 32, "crop_fraction": 0.875, "interpolation": "bicubic"},
}


def bundle(folder: Path, seed: int = 0) -> Path:
    """``seed``: makes it another release."""
    sha256 = {}
    for part, name in (("head", "nodes/flat"), ("trunk", "trunks/trunk")):
        data = f"{part} {seed}".encode()
        sha256[part] = hashlib.sha256(data).hexdigest()
        file = folder / (f"trunks/{sha256[part][:12]}.onnx" if part == "trunk" else f"{name}.onnx")
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    node = {"targets": "species", "classes": FLAT["species"], "temperature": 1.0, **sha256}
    family = FLAT | {"nodes": {"flat": node | {"trunk_multiply_adds": 1, "head_multiply_adds": 1}}}
    (folder / "family.json").write_text(json.dumps(family))
    (folder / "taxonomy.parquet").write_bytes(b"a table")
    return folder


def register(registry: Registry, seed: int, *reasons: str, family: str = "plants", top1: float = 0.9) -> Release:
    made = registry.root.parent / "bundles" / f"{family}-{seed}"
    if not made.exists():
        bundle(made, seed)
    release, _ = registry.register(
        family, release_digest(made), made, reasons=reasons, summary={"top1": top1, "top5": 0.99},
        lineage={"dataset": "d" * 64, "code": "0.1.0"},
    )  # fmt: skip
    return release
