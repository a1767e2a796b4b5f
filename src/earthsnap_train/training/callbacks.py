"""What goes along with a fit: the checkpoint, the best weights so far, and what is told of it."""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from earthsnap_train.context import Events
from earthsnap_train.processes import end_with_parent
from earthsnap_train.training.classifier import Classifier

MEASURE_EVERY_S = 1.0


class Saver(Callback):
    """Puts a checkpoint beside the last one and renames it over: a killed writer leaves the old one whole.

    ``now``: a file; while it is there every step is saved.
    """

    def __init__(self, path: Path, *, every_s: float, now: Path | None) -> None:
        self._path = path
        self._every_s = every_s
        self._now = now
        self._saved = time.monotonic()

    # At the start of a step and not at the end of the last one: between them comes the validation that may be due, which
    # Lightning does not make up for when it goes on from a checkpoint.
    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        asked = self._now is not None and self._now.exists()
        due = trainer.global_step > 0 and (asked or time.monotonic() - self._saved >= self._every_s)
        if not trainer.strategy.reduce_boolean_decision(due, all=False):
            return
        temporary = self._path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            with temporary.open("rb") as f:
                os.fsync(f.fileno())
            temporary.replace(self._path)
        self._saved = time.monotonic()


class EndWithParent(Callback):
    """The processes of one fit end with the one that started them, however that ended."""

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            end_with_parent()


class Best(Callback):
    """Keeps the weights of the least validation loss, stops after ``patience`` epochs without a better one, and restores.

    Where nothing is watched it does nothing.
    """

    def __init__(self, *, patience: int) -> None:
        self._patience = patience
        self._loss = float("inf")
        self._step = 0
        self._epochs_since = 0
        self._weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Classifier)
        loss = module.val_figures["val_loss"]
        if loss < self._loss:
            self._loss, self._step, self._epochs_since = loss, trainer.global_step, 0
            self._weights = {name: t.detach().cpu().clone() for name, t in module.judged.state_dict().items()}
        else:
            self._epochs_since += 1
        if self._epochs_since >= self._patience:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Classifier)
        if self._weights:
            module.judged.load_state_dict(self._weights)
            module.step_of_weights.fill_(self._step)

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_patience"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Teller(Callback):
    """Tells the events how far training is, and about once a second what it measures."""

    def __init__(self, events: Events, *, batch_size: int) -> None:
        self._events = events
        self._batch_size = batch_size
        self._last = (0.0, 0)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._last = (time.monotonic(), trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        if not trainer.is_global_zero:
            return
        self._events.progress(trainer.global_step, trainer.max_steps, "steps")
        now, (before, step) = time.monotonic(), self._last
        if now - before < MEASURE_EVERY_S and trainer.global_step < trainer.max_steps:
            return
        assert isinstance(module, Classifier)
        values = {
            "loss": float(module.last_loss),
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "images_per_s": (trainer.global_step - step) * self._batch_size / max(now - before, 1e-9),
        }
        self._events.measure(trainer.global_step, values)
        self._last = (now, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Classifier)
        if trainer.is_global_zero:
            self._events.measure(trainer.global_step, module.val_figures)
