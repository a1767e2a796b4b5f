r"""Teaches one flat network by each option of the loss and each seed, and keeps what it answers on val and test.

    python benchmarks/losses/teach.py outputs/losses/packed outputs/losses/answers --at-once 5
    python benchmarks/losses/teach.py outputs/losses/packed outputs/losses/answers --cpu --seeds 0 --epochs 1 \
        --species 8 --photographs 6

What is packed is said in ``pack.py``; the teaching is that of stage ``train``. ``answers/seed-N.npz`` has the logits of each
option, written anew after each network, so that whatever ends this early leaves whole networks behind. What is there is kept:
other epochs or photographs belong into another folder.
"""

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from options import OPTIONS
from safetensors.torch import load_file

from earthsnap_train.context import Context, Resources
from earthsnap_train.data.batches import SequentialBatches
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.loader import EvalTransform, RecordsDataset, make_loader
from earthsnap_train.models.backbone import Trunk, empty_trunk
from earthsnap_train.models.embed import preprocessing
from earthsnap_train.training.curves import Curves
from earthsnap_train.training.train import Settings, teach

SPLITS = ("train", "val", "test")
BATCH_IMAGES = 128
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    parser.add_argument("--epochs", type=int, help="of the whole network; as declared by default")
    parser.add_argument("--species", type=int, help="only the first so many")
    parser.add_argument(
        "--photographs", type=int, help="to learn from: only so many of each species, and a quarter of val"
    )
    parser.add_argument("--at-once", type=int, default=1, help="networks that are taught side by side")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare photographs, for each of them")
    parser.add_argument("--minutes", type=float, default=60, help="after which no network is begun")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options, Path(work))
        shutil.copy(bench.examples / "examples.parquet", options.out)
        print(
            f"{len(bench.settings['classes'])} species, photographs: {bench.counts()}, {bench.device_name}", flush=True
        )
        bench.embed()
        print(f"embedded after {time.monotonic() - started:.0f} s", flush=True)
        answers = {seed: answers_in(options.out / f"seed-{seed}.npz") for seed in options.seeds}
        todo = [
            (seed, name) for seed in options.seeds for name in options.options if f"{name}/test" not in answers[seed]
        ]
        with ProcessPoolExecutor(options.at_once, multiprocessing.get_context("spawn")) as pool:
            running = [pool.submit(bench.teach, seed, name, started + 60 * options.minutes) for seed, name in todo]
            for done in as_completed(running):
                if error := done.exception():
                    print(f"one network failed: {error!r}", flush=True)
                    continue
                seed, name, found, seconds = done.result()
                if not found:
                    print(f"seed {seed}, {name}: left out, for the time is over", flush=True)
                    continue
                answers[seed] |= found
                np.savez(options.out / f"seed-{seed}.npz", **answers[seed])  # type: ignore[arg-type]
                print(f"seed {seed}, {name}: {seconds:.0f} s, at {time.monotonic() - started:.0f} s", flush=True)


def answers_in(path: Path) -> dict[str, Floats]:
    """``option/split`` -> logits of the networks that were taught before."""
    if not path.exists():
        return {}
    with np.load(path) as answers:
        return dict(answers)


class Bench:
    """What all networks have in common: photographs, features of the pretrained trunk, settings, the device."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.packed: Path = options.packed.resolve()
        self.work = work
        self.settings: dict[str, Any] = json.loads((self.packed / "settings.json").read_text())
        if options.epochs:
            self.settings["training"]["num_epochs"] = options.epochs
        self.examples = work / "examples"
        self.examples.mkdir()
        self._choose(options.species, options.photographs)
        self.resources = Resources(workers=options.workers)
        if not options.cpu:
            self.resources = Resources(workers=options.workers, accelerator="cuda", devices=(0,))
        self.device = "cpu" if options.cpu else "cuda:0"
        self.device_name = "CPU" if options.cpu else torch.cuda.get_device_name(0)

    def _choose(self, num_species: int | None, num_photographs: int | None) -> None:
        """Writes the examples that are used: of the first species, the first photographs of train and val, all of test."""
        table = pq.read_table(self.packed / "examples" / "examples.parquet")
        num_species = min(num_species or len(self.settings["classes"]), len(self.settings["classes"]))
        limits = {"train": num_photographs, "val": -(-num_photographs // 4)} if num_photographs else {}
        seen: dict[tuple[int, str], int] = {}
        keep = []
        for row, (label, split) in enumerate(zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True)):
            seen[label, split] = seen.get((label, split), 0) + 1
            if label < num_species and seen[label, split] <= limits.get(split, seen[label, split]):
                keep.append(row)
        pq.write_table(table.take(keep), self.examples / "examples.parquet")
        for name in ("classes", "lineages"):
            self.settings[name] = self.settings[name][:num_species]

    def counts(self) -> dict[str, int]:
        examples = Examples.read(self.examples)
        return {split: len(examples.of(split)) for split in SPLITS}

    def embed(self) -> None:
        """As stage ``embed`` would, by the torch trunk on either device."""
        s = Settings.model_validate(self.settings)
        trunk = empty_trunk(s.backbone)
        trunk.load_state_dict(load_file(self.packed / "trunk" / "trunk.safetensors"))
        out = self.work / "embed"
        out.mkdir()
        ids: list[str] = []
        rows: list[Floats] = []
        for split in SPLITS:
            ids += Examples.read(self.examples).of(split).image_ids
            rows += list(self.features(trunk, s, split))
        np.save(out / "features.npy", np.concatenate(rows))
        (out / "index.json").write_text(json.dumps({"image_ids": ids}))

    def teach(self, seed: int, name: str, until: float) -> tuple[int, str, dict[str, Floats], float]:
        """The seed, the option, ``option/split`` -> logits [N, C] on val and test, and the seconds that it took."""
        started = time.monotonic()
        if started > until:
            return seed, name, {}, 0.0
        if self.device != "cpu":
            torch.set_num_threads(self.resources.threads)
        declared = Settings.model_validate(self.settings)
        training = declared.training.replaced({"rank_weight": 0.0, **OPTIONS[name]})
        s = declared.model_copy(update={"seed": seed, "training": training})
        inputs = {"examples": self.examples, "trunk": self.packed / "trunk", "embed/all": self.work / "embed"}
        inputs |= {f"records/{folder.name}": folder for folder in sorted((self.packed / "records").iterdir())}
        scratch = self.work / f"{seed}-{list(OPTIONS).index(name)}"
        scratch.mkdir()
        # A checkpoint is of no use here: whoever stops this begins again.
        resources = Resources(**{**vars(self.resources), "checkpoint_every_s": 3600.0})
        context = Context(scratch=scratch, resources=resources)
        learnt = teach(s, inputs, context, Curves(scratch / "curves.jsonl", context.events))
        assert learnt.trunk is not None
        weight_CF, bias_C = learnt.head
        found = {
            f"{name}/{split}": np.concatenate([f @ weight_CF.T + bias_C for f in self.features(learnt.trunk, s, split)])
            for split in ("val", "test")
        }
        return seed, name, found, time.monotonic() - started

    def features(self, trunk: Trunk, s: Settings, split: str) -> Iterator[Floats]:
        """Of all photographs of a split, prepared as for serving, batch by batch."""
        folders = sorted((self.packed / "records").iterdir())
        transform = EvalTransform(preprocessing(s.backbone))
        dataset = RecordsDataset(folders=folders, examples=self.examples, splits=[split], transform=transform)
        batches = SequentialBatches(num_examples=len(dataset), batch_size=BATCH_IMAGES)
        trunk = trunk.to(self.device).eval()
        workers = 0 if self.device == "cpu" else self.resources.workers
        with torch.inference_mode():
            for images, _ in make_loader(dataset, batches, num_workers=workers):
                yield trunk(images.to(self.device)).float().cpu().numpy()


if __name__ == "__main__":
    main()
