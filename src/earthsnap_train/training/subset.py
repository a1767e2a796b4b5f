"""The part of a node's photographs that a search teaches and watches: of train and of val, and never of test."""

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

SEARCHED = ("train", "val")


def write_subset(examples: Path, out: Path, *, most: int | None, seed: int) -> Counter[str]:
    """Of each class at most ``most`` photographs of each split, by a seeded hash. Returns how many there are of each split."""
    table = pq.read_table(examples / "examples.parquet")
    columns = (table[name].to_pylist() for name in ("image_id", "label", "split"))
    rows = [(at, *row) for at, row in enumerate(zip(*columns, strict=True)) if row[2] in SEARCHED]
    rows.sort(key=lambda row: _rank(seed, row[1]))
    of_class: Counter[tuple[int, str]] = Counter()
    kept: list[int] = []
    for at, _, label, split in rows:
        if most is None or of_class[label, split] < most:
            of_class[label, split] += 1
            kept.append(at)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.take(sorted(kept)), out / "examples.parquet")
    return _by_split(of_class)


def _by_split(of_class: Counter[tuple[int, str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_, split), count in of_class.items():
        counts[split] += count
    return counts


def _rank(seed: int, image_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{image_id}".encode()).digest()
