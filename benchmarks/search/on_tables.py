"""Our search with pruning beside random search without, on real curves that were tabulated (see ``tabulate.py``).

    python benchmarks/search/on_tables.py benchmarks/search/curves.json --seeds 20

Both go through the study that stage ``tune`` uses; a trial reads its curve off the table, at the settings nearest to
those that it was asked for. What counts is the epochs that would have been taught, and the best validation loss.
"""

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path

from earthsnap_train.spec.tuning import Sought
from earthsnap_train.training.found import Attempt
from earthsnap_train.training.study import Study

SPACE = {
    "lr": {"kind": "float", "low": 0.0003, "high": 0.03, "log": True},
    "weight_decay": {"kind": "float", "low": 0.0001, "high": 1.0, "log": True},
    "batch_size": {"kind": "choice", "of": [64, 128]},
}
DECLARED = {"lr": 0.003, "weight_decay": 0.1, "batch_size": 64}
MIN_SHARE = 0.25  # as conf/tuning/base.yaml has it
Curves = dict[tuple[float, ...], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--random-trials", type=int, default=12)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--pruning", choices=["asha", "hyperband", "none"], default="asha")
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    parser.add_argument("--declared", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    table = json.loads(options.table.read_text())
    curves: Curves = {tuple(row["settings"]): row["val_loss"] for row in table["rows"]}
    best = min(min(curve) for curve in curves.values())
    print(f"{len(curves)} curves; the best there is: {best:.4f}; as declared: {min(nearest(curves, DECLARED)):.4f}\n")
    print("| seed | ours | its epochs | random | its epochs | at least as good | share of the epochs |")
    print("|---|---|---|---|---|---|---|")
    wins, shares, ours_all, random_all = 0, [], [], []
    declared = DECLARED if options.declared else {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        ours, ours_epochs = search(curves, seed, options.sampler, options.pruning, options.trials, declared)
        other, other_epochs = search(curves, seed, "random", "none", options.random_trials, {})
        good, share = ours <= other, ours_epochs / other_epochs
        wins, shares = wins + good, [*shares, share]
        ours_all, random_all = [*ours_all, ours], [*random_all, other]
        print(
            f"| {seed} | {ours:.4f} | {ours_epochs} | {other:.4f} | {other_epochs} | {'yes' if good else 'no'} | {share:.2f} |"
        )
    print(
        f"\nat least as good in {wins} of {options.seeds}; mean {statistics.mean(ours_all):.4f} beside "
        f"{statistics.mean(random_all):.4f}; share of the epochs: mean {statistics.mean(shares):.2f}, most {max(shares):.2f}"
    )


def search(
    curves: Curves, seed: int, sampler: str, pruning: str, num_trials: int, declared: dict[str, float]
) -> tuple[float, int]:
    """(the best value, epochs taught)."""
    sought = Sought.model_validate(
        {
            "engine": "optuna", "sampler": sampler, "objective": "val_loss", "direction": "minimize", "num_trials": num_trials,
            "max_minutes": None, "max_failures": 0, "subset": None, "space": SPACE,
            "pruning": {"kind": pruning, "min_share": MIN_SHARE, "reduction_factor": 3},
        }
    )  # fmt: skip
    epochs = 0
    with tempfile.TemporaryDirectory() as folder:
        num_epochs = max(map(len, curves.values()))
        study = Study(Path(folder) / "study.sqlite", sought, seed=seed, declared=declared, num_epochs=num_epochs)
        while not study.is_exhausted:
            number, values = study.ask()
            curve, seen, state = nearest(curves, values), 0, "complete"
            for seen in range(1, len(curve) + 1):
                if not study.examine(number, seen, min(curve[:seen])):
                    state = "pruned"
                    break
            epochs += seen
            study.tell(number, Attempt(state=state, value=min(curve[:seen]), curve=[], seconds=0.0))
        best = study.best()
        assert best is not None
        assert best.attempt.value is not None
        return best.attempt.value, epochs


def nearest(curves: Curves, values: dict[str, float]) -> list[float]:
    """The curve at the settings nearest to these, key by key; on the scale on which the key is searched."""
    chosen = []
    for at, (key, dimension) in enumerate(SPACE.items()):
        scale = math.log if dimension.get("log") else float
        known = sorted({settings[at] for settings in curves})
        chosen.append(min(known, key=lambda one: abs(scale(one) - scale(values[key]))))
    return curves[tuple(chosen)]


if __name__ == "__main__":
    main()
