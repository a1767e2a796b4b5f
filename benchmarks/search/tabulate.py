"""Real training curves of a grid of settings, taught once by our own stage ``tune`` and kept as one small table.

    python benchmarks/search/tabulate.py curves.json

The network is a head of all species on the demo's flora. A kill costs nothing: the same command goes on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

SPACE = {
    "lr": [0.0003, 0.0005, 0.0009, 0.0016, 0.003, 0.005, 0.009, 0.016, 0.03],
    "weight_decay": [0.0001, 0.001, 0.01, 0.1, 0.3, 1.0],
    "batch_size": [64, 128],
    "label_smoothing": [0.0, 0.1],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, default=Path("search-benchmark"), help="store and runs; kept")
    options = parser.parse_args()
    options.work.mkdir(exist_ok=True)
    done = subprocess.run(command(), cwd=options.work, check=True, stdout=subprocess.PIPE)
    stage = json.loads(done.stdout)["stages"]["tune/flat"]
    trials = json.loads(newest_trials(options.work).read_text())
    rows = [
        {
            "settings": [trial["params"][key] for key in SPACE],
            "val_loss": [round(point["val_loss"], 5) for point in trial["curve"]],
        }
        for trial in trials
        if trial["state"] == "complete"
    ]
    table = {"keys": list(SPACE), "seconds": stage["seconds"], "rows": rows}
    options.out.write_text(json.dumps(table, separators=(",", ":")))
    print(f"{len(rows)} curves in {stage['seconds']:.0f} s")


def command() -> list[str]:
    """The demo as one flat network, and a grid in the place of a search."""
    space = [f"tuning.space.{key}={{kind: choice, of: {values}}}" for key, values in SPACE.items()]
    return [
        sys.executable, "-m", "earthsnap_train", "+experiment=plants", "name=search-benchmark", "architecture=flat",
        "~evaluation.gates.family", "tracking=none", "tuning=quick", "tuning.sampler=grid", "tuning.num_trials=1000",
        "tuning.subset=null", "tuning.pruning.kind=none", "~tuning.space.lr", "~tuning.space.weight_decay", *space, "--json",
    ]  # fmt: skip


def newest_trials(work: Path) -> Path:
    """What the last search of this store tried."""
    return max(work.glob("store/artifacts/*/notes/trials.json"), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
