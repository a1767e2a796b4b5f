"""What the report shows of a search: which settings were tried, what came of them, and which of them matter."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from earthsnap_train.evaluation.figures import Measured
from earthsnap_train.spec.tuning import Dimension, Value

NUM_BEST = 6


class TrialRow(Measured):
    """``value`` is None for a trial that failed; of one that was ended early it is how far it had come."""

    number: int
    params: dict[str, Value]
    value: float | None
    state: Literal["complete", "pruned", "failed"]
    epochs: int
    seconds: float


class SearchPanel(Measured):
    """``nodes``: which share what was found. ``best``: the number of the trial whose settings they were taught with.

    ``declared``: what training/ had, of the keys that were searched. ``importances``: shares, empty where nobody can say.
    """

    name: str
    nodes: tuple[str, ...]
    objective: Literal["val_loss", "val_top1"]
    best: int
    space: dict[str, Dimension]
    declared: dict[str, Value]
    importances: dict[str, float]
    trials: tuple[TrialRow, ...]

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)

    @property
    def found(self) -> TrialRow:
        return next(trial for trial in self.trials if trial.number == self.best)

    @property
    def whole(self) -> tuple[TrialRow, ...]:
        """Those taught to their end, the best first."""
        sign = 1 if self.objective == "val_loss" else -1
        ended = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return tuple(sorted(ended, key=lambda trial: (sign * (trial.value or 0.0), trial.number)))

    @property
    def shown(self) -> tuple[TrialRow, ...]:
        return self.whole[:NUM_BEST]

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)


def read_panel(name: str, nodes: Sequence[str], folder: Path) -> SearchPanel:
    """``folder``: what stage ``tune`` wrote."""
    about: Mapping[str, object] = json.loads((folder / "notes" / "search.json").read_text())
    trials = json.loads((folder / "notes" / "trials.json").read_text())
    fields = TrialRow.model_fields
    return SearchPanel.model_validate(
        {
            "name": name,
            "nodes": nodes,
            "trials": [{key: value for key, value in trial.items() if key in fields} for trial in trials],
            **{key: value for key, value in about.items() if key in SearchPanel.model_fields},
        }
    )
