"""What networks taught whole make of every photograph: one network, and one file for ``run.py``, for each fold and seed.

    python benchmarks/recognition/networks.py lab/taught --work lab --per-species 10 dataset=table ...
    python benchmarks/recognition/run.py lab/taught --title taught --rank group --per-species 10 --out networks.json

A network is taught all species at a time by `training=head_then_full`, as stage `train` does it, on what its fold teaches; it
has seen nothing of what its fold tests, and of val nothing but to watch. What follows the options declares any dataset and
backbone, as for ``embed.py``. A file that is there is kept: a run that was ended goes on.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from embed import add_declared, artifacts, gathered, manifest_of, pairs_in, run_plan
from folds import Few, Fold, file_of, fold_of
from hydra import compose, initialize_config_dir
from photographs import Network, Photographs

from earthsnap_train.__main__ import conf_folder, through_the_door, translate
from earthsnap_train.context import Context, Resources
from earthsnap_train.data.batches import SequentialBatches
from earthsnap_train.data.loader import EvalTransform, RecordsDataset, make_loader
from earthsnap_train.data.select import SCHEMA
from earthsnap_train.models.backbone import Trunk
from earthsnap_train.models.embed import preprocessing
from earthsnap_train.models.family import Floats
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.training.curves import Curves
from earthsnap_train.training.train import Settings, teach

BATCH_IMAGES = 128
# A checkpoint is of no use here: whoever stops this begins the network again.
ON_CPU = Resources(checkpoint_every_s=3600.0)
ON_GPU = Resources(workers=2, accelerator="cuda", devices=(0,), checkpoint_every_s=3600.0)


@dataclass(frozen=True, kw_only=True)
class School:
    """What all networks have in common. ``family``: what the store has of the trunk as it comes."""

    store: Path
    family: str
    near_duplicates: Path | None
    settings: Settings
    few: Few
    num_folds: int
    out: Path
    resources: Resources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    add_declared(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--per-species", type=int, help="photographs of each species to learn from")
    parser.add_argument("--tail", type=int, nargs=2, metavar=("MOST", "LEAST"), help="photographs to learn from")
    parser.add_argument("--epochs", type=int, help="of the whole network; as declared by default")
    parser.add_argument("--workers", type=int, default=1, help="networks that are taught side by side")
    parser.add_argument(
        "--gpu", action="store_true", help="on the first GPU; a network has two more processes for photographs"
    )
    options, overrides = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    family = run_plan(options.work, overrides)
    spec = declared(overrides)
    training = spec.training.teaching().replaced({"num_epochs": options.epochs or spec.training.num_epochs})
    school = School(
        store=options.work / "store",
        family=family,
        near_duplicates=options.near_duplicates,
        settings=Settings(training=training, backbone=spec.backbone, classes=[], splits=["train"], seed=0),
        few=Few(per_species=options.per_species, tail=tuple(options.tail) if options.tail else None),
        num_folds=options.folds,
        out=options.out,
        resources=ON_GPU if options.gpu else ON_CPU,
    )
    jobs = [(school, seed, fold) for seed in range(options.seeds) for fold in range(options.folds)]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for line in pool.map(one_network, *zip(*jobs, strict=True)):
            print(line, flush=True)


def declared(overrides: list[str]) -> RunSpec:
    typed = [*overrides, "name=networks", "architecture=shared_trunk", "training=head_then_full", "tracking=none"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return through_the_door(compose("config", overrides=translate(typed)))


def one_network(school: School, seed: int, fold: int) -> str:
    """Taught and written; says how long that took."""
    path = file_of(school.out, seed, fold)
    if path.exists():
        return f"{path}: is there"
    started = time.monotonic()
    torch.set_num_threads(1)
    store = Store(school.store)
    photographs = gathered(store, school.family, pairs_in(school.near_duplicates))
    parts = fold_of(photographs, photographs.ranks[0], few=school.few, num_folds=school.num_folds, seed=seed, fold=fold)
    s = school.settings.model_copy(update={"seed": seed, "classes": list(photographs.species)})
    records = artifacts(store, school.family, "records/*")
    inputs = records | artifacts(store, school.family, "trunk")
    with tempfile.TemporaryDirectory() as work:
        image_ids = [row.image_id for row in manifest_of(store, school.family)]
        inputs |= written(Path(work), photographs, parts, image_ids)
        context = Context(scratch=Path(work), resources=school.resources)
        learnt = teach(s, inputs, context, Curves(Path(work) / "curves.jsonl", context.events))
        assert learnt.trunk is not None
        taught_s = time.monotonic() - started
        rows = np.sort(np.concatenate([parts.taught_N, parts.val_N, parts.test_N]))
        features_RVF = looks(learnt.trunk, s, list(records.values()), inputs["examples"], school.resources)
    features_NVF = np.full(photographs.features_NVF.shape, np.nan, dtype=np.float32)
    features_NVF[rows] = features_RVF
    taught_N = np.zeros(len(photographs), dtype=np.bool_)
    taught_N[parts.taught_N] = True
    weight_CF, bias_C = learnt.head
    network = Network(taught_N=taught_N, logits_NS=features_NVF[:, 0] @ weight_CF.T + bias_C)
    replace(photographs, features_NVF=features_NVF, network=network).write(path)
    return f"{path}: {len(parts.taught_N)} taught in {taught_s:.0f} s, all of {time.monotonic() - started:.0f} s"


def written(work: Path, photographs: Photographs, parts: Fold, image_ids: list[str]) -> dict[str, Path]:
    """The inputs of stage ``train`` that this fold decides: its examples, and what the first head learns from."""
    split_of = {
        row: split
        for split, rows in (("train", parts.taught_N), ("val", parts.val_N), ("test", parts.test_N))
        for row in rows.tolist()
    }
    label_of = {name: label for label, name in enumerate(photographs.species)}
    examples = [
        {
            "image_id": image_ids[row],
            "species_id": str(photographs.species_N[row]),
            "label": label_of[str(photographs.species_N[row])],
            "split": split,
            "cluster_id": str(photographs.cluster_N[row]),
        }
        for row, split in sorted(split_of.items())
    ]
    inputs = {"examples": work / "examples", "embed/all": work / "embed"}
    for folder in inputs.values():
        folder.mkdir()
    pq.write_table(pa.Table.from_pylist(examples, schema=SCHEMA), inputs["examples"] / "examples.parquet")
    np.save(inputs["embed/all"] / "features.npy", photographs.features_NVF[:, 0])
    (inputs["embed/all"] / "index.json").write_text(json.dumps({"image_ids": image_ids}))
    return inputs


def looks(trunk: Trunk, s: Settings, records: list[Path], examples: Path, resources: Resources) -> Floats:
    """[R, V, F] of every example, sorted by image id, prepared as for serving: the photograph's own, its mirror image's."""
    dataset = RecordsDataset(
        folders=records, examples=examples, splits=("train", "val", "test"), transform=EvalTransform(preprocessing(s.backbone))
    )  # fmt: skip
    batches = SequentialBatches(num_examples=len(dataset), batch_size=BATCH_IMAGES)
    device = "cuda:0" if resources.accelerator == "cuda" else "cpu"
    trunk.to(device).eval()
    views = []
    with torch.inference_mode():
        for images, _ in make_loader(dataset, batches, num_workers=0 if device == "cpu" else resources.workers):
            seen = images.to(device)
            views.append(torch.stack([trunk(seen), trunk(seen.flip(3))], dim=1).float().cpu().numpy())
    return np.concatenate(views)


if __name__ == "__main__":
    main()
