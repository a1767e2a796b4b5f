"""A family and a flat network on real photographs: the same command for each seed, and one table.

    python benchmarks/plants_dev.py ../shared/data/plants-dev --seeds 0 1 2 --training head

Every seed moves the split too. Each run begins with an empty store, so that its seconds are those from photographs to a
release; `--keep FOLDER` leaves the runs there to be looked at.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--training", default="head")
    parser.add_argument("--architectures", nargs="+", default=["parent_child", "flat"])
    parser.add_argument("--keep", type=Path)
    options, overrides = parser.parse_known_args()
    print("| architecture | training | seed | top-1 | flat top-1 | macro recall | ECE | seconds | no-op seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for architecture in options.architectures:
        rows = [run(options, architecture, seed, overrides) for seed in options.seeds]
        for seed, row in zip(options.seeds, rows, strict=True):
            show(architecture, options.training, str(seed), row)
        if len(rows) > 1:
            mean = {
                name: statistics.mean(values) for name in rows[0] if None not in (values := [r[name] for r in rows])
            }
            show(architecture, options.training, "mean", mean)


def run(options: argparse.Namespace, architecture: str, seed: int, overrides: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.keep:
            place = options.keep / f"{architecture}-{options.training}-{seed}"
            place.mkdir(parents=True)
        data = options.data.resolve()
        command = [
            sys.executable, "-m", "earthsnap_train", "name=plants-dev", "tracking=none", "--json", f"seed={seed}",
            f"architecture={architecture}", f"training={options.training}", "dataset=table",
            f"dataset.source.root={data}", f"dataset.split.seed={seed}", "dataset.source.columns.species=class",
            "dataset.source.columns.scientific_name=species", "dataset.source.columns.common_name=common_name",
            "dataset.source.ranks=[group,family,genus]", *overrides,
        ]  # fmt: skip
        started = time.monotonic()
        summary = json.loads(subprocess.run(command, cwd=place, check=True, stdout=subprocess.PIPE).stdout)
        seconds = time.monotonic() - started
        started = time.monotonic()
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.PIPE)
        family = summary["family"]
        return {
            "top1": family["top1"], "flat": summary.get("flat", family)["top1"], "macro_recall": family["macro_recall"],
            "ece": family["ece"], "seconds": seconds, "no_op": time.monotonic() - started,
        }  # fmt: skip


def show(architecture: str, training: str, seed: str, row: dict[str, float]) -> None:
    print(
        f"| {architecture} | {training} | {seed} | {row['top1']:.3f} | {row['flat']:.3f} | {row['macro_recall']:.3f} "
        f"| {row['ece']:.3f} | {row['seconds']:.0f} | {row['no_op']:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
