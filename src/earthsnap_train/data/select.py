"""Stage ``select``: the photographs that one node is taught from and judged on, with its labels.

Small and fast on purpose: what follows depends on a node's own examples, not on the whole manifest, so that new
photographs of one group leave every other group's work as it is. Writes ``examples.parquet`` (``image_id``,
``species_id``, ``label``, ``split``, ``cluster_id``, sorted by ``image_id``) and ``classes.json``.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from earthsnap_train.context import Context
from earthsnap_train.spec.model import SpecModel

Row = dict[str, Any]
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("species_id", pa.string()),
        ("label", pa.int32()),
        ("split", pa.string()),
        ("cluster_id", pa.string()),
    ]
)


class Settings(SpecModel):
    """``class_of``: species -> the class it teaches; others are left out. ``classes``: what labels mean, in order.

    ``max_train_per_group``: a seeded sample of each group of ``group_of`` in train, so that no group drowns another.
    """

    classes: list[str]
    class_of: dict[str, str]
    group_of: dict[str, str]
    max_train_per_group: Annotated[int, Field(ge=1)] | None
    seed: int


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    label_of = {species: s.classes.index(name) for species, name in s.class_of.items()}
    table = pq.read_table(
        inputs["manifest"] / "manifest.parquet", columns=["image_id", "species_id", "split", "cluster_id"]
    )
    rows = [row | {"label": label_of[row["species_id"]]} for row in table.to_pylist() if row["species_id"] in label_of]
    if s.max_train_per_group is not None:
        rows = _sampled(rows, s.group_of, limit=s.max_train_per_group, seed=s.seed)
    rows.sort(key=lambda row: row["image_id"])
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out / "examples.parquet", compression="zstd")
    (out / "classes.json").write_text(json.dumps(s.classes, ensure_ascii=False, indent=0))


def _sampled(rows: list[Row], group_of: Mapping[str, str], *, limit: int, seed: int) -> list[Row]:
    """All of val and test, and of train the ``limit`` images of each group that a seeded hash ranks first."""
    by_group: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["split"] == "train":
            by_group[group_of[row["species_id"]]].append(row)

    def rank(row: Row) -> bytes:
        return hashlib.blake2b(f"{seed}/{row['image_id']}".encode()).digest()

    kept = [row for members in by_group.values() for row in sorted(members, key=rank)[:limit]]
    return kept + [row for row in rows if row["split"] != "train"]
