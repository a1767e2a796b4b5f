"""What a trunk makes of every photograph of a declaration, its mirror image too, kept in one file for ``run.py``.

    python benchmarks/recognition/embed.py plants-dev.npz --work lab --near-duplicates PAIRS.csv dataset=table ...
    python benchmarks/recognition/embed.py flora.npz --work lab +experiment=plants

What follows the options declares any dataset and backbone, as for `earthsnap`. The plan runs as users run it; its embeddings,
manifest and taxonomy are taken from the store. Pairs of near duplicates that are known from elsewhere join its clusters.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from photographs import Photographs

from earthsnap_train.data.manifest import ManifestRow, read_manifest
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.pipeline.store import Store
from earthsnap_train.taxonomy.tree import Taxonomy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    add_declared(parser)
    options, overrides = parser.parse_known_args()
    family = run_plan(options.work, overrides)
    photographs = gathered(Store(options.work / "store"), family, pairs_in(options.near_duplicates))
    photographs.write(options.out)
    num_clusters = len(set(photographs.cluster_N.tolist()))
    print(f"{len(photographs)} photographs of {len(photographs.species)} species in {num_clusters} clusters")


def add_declared(parser: argparse.ArgumentParser) -> None:
    """Options that all have who run a declaration; the overrides follow them."""
    parser.add_argument("--work", type=Path, required=True, help="store and runs; kept")
    parser.add_argument("--near-duplicates", type=Path, help="a CSV with the columns path_a and path_b")


def run_plan(work: Path, overrides: list[str]) -> str:
    """Everything up to a family of heads on the trunk as it comes; the name under which the store in ``work`` has it."""
    work.mkdir(parents=True, exist_ok=True)
    family = "f" + hashlib.sha256(json.dumps(overrides).encode()).hexdigest()[:12]
    command = [
        sys.executable, "-m", "earthsnap_train", *overrides, f"name={family}", "architecture=shared_trunk", "training=head",
        "training.fit_on=full", "tracking=none", "--json",
    ]  # fmt: skip
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    return family


def pairs_in(near_duplicates: Path | None) -> list[tuple[str, str]]:
    if near_duplicates is None:
        return []
    with near_duplicates.open(newline="") as file:
        return [(row["path_a"], row["path_b"]) for row in csv.DictReader(file)]


def artifacts(store: Store, family: str, stages: str) -> dict[str, Path]:
    """Stage -> what it made in the last run of ``family``; ``stages`` is one, or a pattern with a star."""
    names = sorted(path.stem for path in (store.root / "heads" / family).glob(f"{stages.replace('/', '--')}.json"))
    heads = {name.replace("--", "/"): store.head(family, name.replace("--", "/")) for name in names}
    assert heads, stages
    return {stage: store.path(head.key) for stage, head in heads.items() if head is not None}


def manifest_of(store: Store, family: str) -> list[ManifestRow]:
    """Sorted by image id, as the rows of ``gathered`` are."""
    manifest = artifacts(store, family, "ingest")["ingest"] / "manifest.parquet"
    return sorted(read_manifest(manifest), key=lambda row: row.image_id)


def gathered(store: Store, family: str, pairs: Iterable[tuple[str, str]]) -> Photographs:
    """What the last run of ``family`` has embedded."""
    seen = Embeddings(artifacts(store, family, "embed/trunk/*"))
    rows = manifest_of(store, family)
    taxonomy = Taxonomy.read(artifacts(store, family, "ingest")["ingest"] / "taxonomy.parquet")
    cluster_of = joined({row.uri: row.cluster_id for row in rows}, pairs)
    return Photographs(
        features_NVF=seen.of([row.image_id for row in rows]),
        species_N=np.asarray([row.species_id for row in rows], dtype=np.str_),
        cluster_N=np.asarray([cluster_of[row.uri] for row in rows], dtype=np.str_),
        ranks=taxonomy.ranks,
        taxa={one.species_id: tuple(one.taxon(rank) or "" for rank in taxonomy.ranks) for one in taxonomy.species},
    )


def joined(cluster_of: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``cluster_of`` with the clusters of each pair made one; photographs that are not there are passed over."""
    one_of: dict[str, str] = {}

    def root(cluster: str) -> str:
        while cluster in one_of:
            cluster = one_of[cluster]
        return cluster

    for a, b in pairs:
        if a in cluster_of and b in cluster_of:
            left, right = root(cluster_of[a]), root(cluster_of[b])
            if left != right:
                one_of[right] = left
    return {uri: root(cluster) for uri, cluster in cluster_of.items()}


if __name__ == "__main__":
    main()
