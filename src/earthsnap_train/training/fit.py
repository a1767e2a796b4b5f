"""Runs one Lightning fit so that a kill at any moment costs at most ``checkpoint_every_s`` and changes nothing else."""

import contextlib
import logging
import pickle
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from earthsnap_train.context import Events, Resources
from earthsnap_train.errors import ConfigError
from earthsnap_train.training.callbacks import Best, EndWithParent, Saver, Teller
from earthsnap_train.training.classifier import Classifier


class Taught(NamedTuple):
    """How long: ``step`` is the one whose weights were kept."""

    step: int
    steps_per_epoch: int

    @property
    def num_epochs(self) -> int:
        return self.step // self.steps_per_epoch


class Batches(Protocol):
    """Batches of (inputs, labels [B]) whose number is known."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


class Feed(Protocol):
    """The batches of one fit. Which they are depends on the seed and the step alone, so that only the step is remembered."""

    steps_per_epoch: int

    def train(self, step: int, *, rank: int, world_size: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Every batch from ``step`` on. Raises ConfigError where a batch cannot be divided among the ranks."""

    def val(self, *, rank: int, world_size: int) -> Batches:
        """What is watched, in order; nothing at all where val is learnt from, else at least one batch for every rank."""


def fit(
    classifier: Classifier,
    feed: Feed,
    *,
    scratch: Path,
    resources: Resources,
    events: Events,
    stop_at: int | None = None,
) -> int:
    """Teaches ``classifier.network`` in place and returns the step whose weights it now has.

    ``stop_at``: the step after which to end, though the schedule is made for more. All steps are one Lightning epoch, for
    Lightning does not resume exactly within one of several.
    """
    settings, num_steps = classifier.settings, classifier.num_steps
    checkpoint = scratch / "last.ckpt"
    done = _step_of(checkpoint)
    feed.train(done, rank=0, world_size=resources.num_replicas)  # what is wrong with it is said here, not by a rank
    callbacks: list[Callback] = [
        EndWithParent(),
        Teller(events, batch_size=settings.batch_size),
        Saver(checkpoint, every_s=resources.checkpoint_every_s, now=resources.save_now),
    ]
    if settings.early_stopping_patience is not None:
        callbacks.append(Best(patience=settings.early_stopping_patience))
    on_gpu = resources.accelerator == "cuda"
    precision = _precision(settings.precision, on_gpu=on_gpu)
    with _quiet():
        trainer = pl.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=list(resources.devices) if on_gpu else max(1, len(resources.devices)),
            num_nodes=resources.num_hosts,
            strategy="ddp_spawn" if resources.num_replicas > 1 else "auto",
            precision=precision,
            max_steps=stop_at or num_steps,
            max_epochs=1,
            limit_train_batches=num_steps,
            val_check_interval=min(feed.steps_per_epoch, num_steps),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = _Data(feed, start_step=done, num_steps=num_steps)
        # Our own checkpoint of this very run: Lightning keeps its loops' state in it, which is more than tensors.
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint if done else None, weights_only=False)
    if classifier.average is not None:
        classifier.network.load_state_dict(classifier.judged.state_dict())
    return int(classifier.step_of_weights)


class _Data(pl.LightningDataModule):
    def __init__(self, feed: Feed, *, start_step: int, num_steps: int) -> None:
        super().__init__()
        self._feed = feed
        self._start_step = start_step
        self._num_steps = num_steps

    def train_dataloader(self) -> Iterable[tuple[Tensor, Tensor]]:
        return _Counted(self._feed.train(self._start_step, **self._ranks()), self._num_steps)

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
    """How many steps a checkpoint of this very run has behind it; one that a crash of the machine spoilt counts as none."""
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"])
    except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError):
        return 0


def _precision(wanted: str, *, on_gpu: bool) -> Any:
    if wanted == "auto":
        return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    if wanted == "16" and not on_gpu:
        raise ConfigError(
            "16-bit floats train on a GPU alone",
            where="training.precision",
            allowed="auto, 32 or bf16 on a CPU",
            remedy="training.precision=auto takes what this machine has",
        )
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[wanted]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
