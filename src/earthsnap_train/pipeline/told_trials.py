"""What a search has to tell trackers: its trials, the best so far, and each trial's curve."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earthsnap_train.tracking.port import Cell, Rows, Table, TrackedRun

Trial = Mapping[str, Any]


def tuned(name: str, artifact: Path, *, seconds: float, machine: Rows, uses: Sequence[str]) -> TrackedRun:
    """``artifact``: of a stage ``tune/<node>``, with its trials in ``notes/trials.json``."""
    trials: list[Trial] = json.loads((artifact / "notes" / "trials.json").read_bytes())
    node = name.removeprefix("tune/")
    # One that was ended early stands, in a search that several share, for the first of them alone.
    values = [trial["value"] for trial in trials if trial["state"] == "complete"]
    return TrackedRun(
        name=name,
        job_type=f"tune-{node.split('/')[0]}",
        rows=[(trial["number"], _figures(trial)) for trial in sorted(trials, key=lambda trial: trial["number"])],
        machine=machine,
        summary={
            "num_trials": len(trials),
            "num_pruned": sum(trial["state"] == "pruned" for trial in trials),
            "seconds": seconds,
            **({"least_value": min(values), "greatest_value": max(values)} if values else {}),
        },
        tables=[_trial_table(trials), _curve_table(trials)],
        uses=uses,
    )


def _figures(trial: Trial) -> dict[str, float]:
    """What can be drawn over the trials' numbers."""
    figures = {name: trial[name] for name in ("value", "epochs", "seconds") if trial[name] is not None}
    numbers = {f"param/{name}": value for name, value in trial["params"].items() if _is_number(value)}
    return {**{f"trial/{name}": float(value) for name, value in figures.items()}, **numbers}


def _trial_table(trials: Sequence[Trial]) -> Table:
    params = sorted({name for trial in trials for name in trial["params"]})
    return Table(
        name="trials",
        columns=("number", "state", "value", "epochs", "seconds", *params),
        rows=[
            (
                trial["number"], trial["state"], trial["value"], trial["epochs"], trial["seconds"],
                *(_cell(trial["params"].get(name)) for name in params),
            )
            for trial in trials
        ],
    )  # fmt: skip


def _curve_table(trials: Sequence[Trial]) -> Table:
    """What each network of each trial showed on val. ``member``: the network; a search may be shared by several."""
    columns = ("member", "epoch", "val_loss", "val_top1")
    return Table(
        name="trial_curves",
        columns=("number", *columns),
        rows=[(trial["number"], *(point[name] for name in columns)) for trial in trials for point in trial["curve"]],
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> Cell:
    if value is None:
        return None
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else str(value)
