"""Runs one Lightning fit so that a kill at any moment costs at most ``checkpoint_every_s`` and changes nothing else."""

import contextlib
import logging
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging
from torch import Tensor

from earthsnap_train.context import Events, Resources
from earthsnap_train.training.classifier import Classifier

SAY_EVERY_S = 1.0


class Batches(Protocol):
    """Batches of (inputs, labels [B]) whose number is known."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


class Feed(Protocol):
    """The batches of one fit. Which they are depends on the seed and the step alone, so that only the step is remembered."""

    steps_per_epoch: int

    def train(self, step: int, *, rank: int, world_size: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Every batch from ``step`` on."""

    def val(self, *, rank: int, world_size: int) -> Batches:
        """What is watched, in order; nothing at all where val is learnt from."""


def fit(classifier: Classifier, feed: Feed, *, scratch: Path, resources: Resources, events: Events) -> int:
    """Teaches ``classifier`` in place and returns the step whose weights it now has.

    All steps are one Lightning epoch, for Lightning does not resume exactly within one of several.
    """
    settings = classifier.settings
    checkpoint = scratch / "last.ckpt"
    done = _step_of(checkpoint)
    best = _Best(scratch / "best.pt", patience=settings.early_stopping_patience)
    callbacks: list[Callback] = [_Teller(events, settings.batch_size)]
    if settings.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=settings.ema_decay))
    callbacks += [best, _Saver(checkpoint, every_s=resources.checkpoint_every_s)]
    on_gpu = resources.accelerator == "cuda"
    with _quiet():
        trainer = pl.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=list(resources.devices) if on_gpu else max(1, len(resources.devices)),
            strategy="ddp_spawn" if len(resources.devices) > 1 else "auto",
            precision=_precision(settings.precision, on_gpu=on_gpu),
            max_steps=classifier.num_steps,
            max_epochs=1,
            limit_train_batches=classifier.num_steps,
            val_check_interval=min(feed.steps_per_epoch, classifier.num_steps),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = _Data(feed, start_step=done, num_steps=classifier.num_steps)
        # Our own checkpoint of this very run: Lightning keeps its loops' state in it, which is more than tensors.
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint if done else None, weights_only=False)
    return best.restore(classifier) if best.patience is not None else int(trainer.global_step)


class _Data(pl.LightningDataModule):
    def __init__(self, feed: Feed, *, start_step: int, num_steps: int) -> None:
        super().__init__()
        self._feed = feed
        self._start_step = start_step
        self._num_steps = num_steps

    def train_dataloader(self) -> Iterable[tuple[Tensor, Tensor]]:
        ranks = self._ranks()
        return _Counted(self._feed.train(self._start_step, **ranks), self._num_steps)

    def val_dataloader(self) -> Iterable[tuple[Tensor, Tensor]]:
        batches = self._feed.val(**self._ranks())
        return _Counted(batches, len(batches))

    def _ranks(self) -> dict[str, int]:
        assert self.trainer is not None
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}


class _Counted:
    """One loader, of which Lightning reads nothing but this; from some step on its number still counts from the first."""

    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]], num_steps: int) -> None:
        self._batches = batches
        self._num_steps = num_steps

    def __len__(self) -> int:
        return self._num_steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self._batches)


def _step_of(checkpoint: Path) -> int:
    """How many steps a checkpoint of this very run has behind it; an unreadable one counts as none."""
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"])
    except FileNotFoundError:
        return 0


def _precision(wanted: str, *, on_gpu: bool) -> Any:
    if wanted == "auto":
        return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[wanted]


class _Saver(Callback):
    """Puts a checkpoint beside the last one and renames it over: a killed writer leaves the old one whole."""

    def __init__(self, path: Path, *, every_s: float) -> None:
        self._path = path
        self._every_s = every_s
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        due = torch.tensor(time.monotonic() - self._saved >= self._every_s)
        if trainer.global_step < trainer.max_steps and trainer.strategy.reduce_boolean_decision(bool(due), all=False):
            temporary = self._path.with_suffix(".tmp")
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(self._path)
            self._saved = time.monotonic()


class _Best(Callback):
    """Keeps the weights of the least validation loss and stops after ``patience`` epochs without a better one."""

    def __init__(self, path: Path, *, patience: int | None) -> None:
        self._path = path
        self.patience = patience
        self._state = {"step": 0, "loss": float("inf"), "epochs_since": 0}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.patience is None:
            return
        loss = float(trainer.callback_metrics["val_loss"])
        if loss < self._state["loss"]:
            self._state = {"step": trainer.global_step, "loss": loss, "epochs_since": 0}
            if trainer.is_global_zero:
                temporary = self._path.with_suffix(".tmp")
                torch.save({"step": trainer.global_step, "network": module.network.state_dict()}, temporary)  # type: ignore[union-attr]
                temporary.replace(self._path)
        else:
            self._state["epochs_since"] += 1
        if self._state["epochs_since"] >= self.patience:
            trainer.should_stop = True

    def restore(self, classifier: Classifier) -> int:
        best = torch.load(self._path, map_location="cpu", weights_only=True)
        classifier.network.load_state_dict(best["network"])
        return int(best["step"])

    def state_dict(self) -> dict[str, Any]:
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._state = dict(state)


class _Teller(Callback):
    """Tells the events how far training is and what it measures, about once a second."""

    def __init__(self, events: Events, batch_size: int) -> None:
        self._events = events
        self._batch_size = batch_size
        self._last = (0.0, 0)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._last = (time.monotonic(), trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        now, (before, step) = time.monotonic(), self._last
        if (now - before < SAY_EVERY_S and trainer.global_step < trainer.max_steps) or not trainer.is_global_zero:
            return
        rate = (trainer.global_step - step) * self._batch_size / max(now - before, 1e-9)
        values = {
            "loss": float(module.last_loss),  # type: ignore[arg-type]
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "images_per_s": rate,
        }
        self._events.progress(trainer.global_step, trainer.max_steps, "steps")
        self._events.measure(trainer.global_step, values)
        self._last = (now, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            values = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self._events.measure(trainer.global_step, values)


@contextlib.contextmanager
def _quiet() -> Any:
    """Lightning's advice about loaders and accelerators is for its own users, not for ours."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
