"""Seconds to teach a family: all heads of a trunk in one go beside as many Lightning fits one after another.

    python benchmarks/recognition/speed.py --work lab dataset=table dataset.source.root=../shared/data/plants-dev ...

The declaration is run twice, as `architecture=shared_trunk` and as `architecture=parent_child`, both with `training=head`.
Seconds are those that the plan measured of its stages, without what both share (photographs, records, embeddings). Last
comes what serving takes for a photograph, the family beside one flat network, as stage `evaluate/family` measured it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from earthsnap_train.pipeline.store import Store

FITS = ("train/", "export/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="store and runs; kept")
    options, overrides = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    for architecture in ("shared_trunk", "parent_child"):
        name = f"speed-{architecture.replace('_', '-')}"
        command = [
            sys.executable, "-m", "earthsnap_train", *overrides, f"name={name}", f"architecture={architecture}",
            "training=head", "tracking=none", "--json",
        ]  # fmt: skip
        summary = json.loads(subprocess.run(command, cwd=options.work, check=True, stdout=subprocess.PIPE).stdout)
        kept = ("heads",) if architecture == "shared_trunk" else FITS
        stages = {stage: row["seconds"] for stage, row in summary["stages"].items() if stage.startswith(kept)}
        seconds[architecture] = sum(stages.values())
        print(
            f"{architecture}: {len(stages)} stages, {seconds[architecture]:.1f} s; top-1 {summary['family']['top1']:.4f}, "
            f"flat {summary['flat']['top1']:.4f}"
        )
        evaluated = Store(options.work / "store").head(name, "evaluate/family")
        assert evaluated is not None
        folder = Store(options.work / "store").path(evaluated.key)
        latency_ms = json.loads((folder / "notes" / "latency_ms.json").read_text())
        print(f"  family {latency_ms['family']} ms, flat {latency_ms.get('flat')} ms a photograph, one thread")
    print(f"{seconds['parent_child'] / seconds['shared_trunk']:.1f} times")


if __name__ == "__main__":
    main()
