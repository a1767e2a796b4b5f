"""The LightningModule: any network that ends in logits, its loss, its optimiser, its schedule and its average."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from earthsnap_train.data.augment import Mix
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.lineages import Lineages
from earthsnap_train.training.loss import Loss


class Classifier(pl.LightningModule):
    """Teaches ``network`` (inputs -> logits [B, C]) along a schedule of ``num_steps`` steps.

    ``log_prior_C`` is added to the logits while training (logit adjustment, Menon et al., ICLR 2021); ``None`` adds nothing.
    ``lineages``: of the classes, where the loss asks for them. ``mix``: what is done with each batch. Random choices of
    ``mix`` and inside the network (dropout, drop path) are a function of ``seed`` and the step, so that a run that was killed
    goes on as it would have. All that training changes is in the state dict: a checkpoint has it, and so has what comes
    back from other processes.
    """

    log_prior_C: Tensor | None
    step_of_weights: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        settings: Teaching,
        num_steps: int,
        seed: int,
        log_prior_C: Tensor | None = None,
        lineages: Lineages | None = None,
        mix: Mix | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.num_steps = num_steps
        self.seed = seed
        self.loss = Loss(settings, lineages)
        self.mix = mix
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            self.average = AveragedModel(network, multi_avg_fn=partial(_average, settings.ema_decay), use_buffers=True)
            self.average.requires_grad_(False)
        self.register_buffer("log_prior_C", log_prior_C, persistent=False)
        self.register_buffer("step_of_weights", torch.zeros((), dtype=torch.int64))
        self.last_loss = torch.zeros(())
        self.val_figures: dict[str, float] = {}
        self._val_sums = torch.zeros(3)

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average over the steps, where one is wanted."""
        return self.network if self.average is None else self.average.module

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BC: Tensor = self.network(inputs)
        return logits_BC

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, labels = batch if self.mix is None else self.mix(*batch)
        logits_BC = self(inputs)
        if self.log_prior_C is not None:
            logits_BC = logits_BC + self.log_prior_C
        loss: Tensor = self.loss(logits_BC, labels)
        self.last_loss = loss.detach()
        return loss

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        self.step_of_weights.fill_(self.global_step)

    def on_validation_epoch_start(self) -> None:
        self._val_sums = torch.zeros(3, device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        inputs, labels_B = batch
        logits_BC = self.judged(inputs).float()
        loss = functional.cross_entropy(logits_BC, labels_B, reduction="sum")
        right = (logits_BC.argmax(dim=1) == labels_B).sum()
        self._val_sums += torch.stack([loss, right, torch.full_like(loss, len(labels_B))])

    def on_validation_epoch_end(self) -> None:
        # Not by Lightning's own logging: it costs as much as a step of a small head, and only the first rank would know.
        loss, right, count = self.trainer.strategy.reduce(self._val_sums, reduce_op="sum").tolist()
        self.val_figures = {"val_loss": loss / count, "val_top1": right / count}

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=self.settings.lr)
        share: Callable[[int], float] = partial(share_of_lr, self.settings.warmup_fraction, self.num_steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def share_of_lr(warmup_fraction: float, num_steps: int, step: int) -> float:
    """A linear warm-up, then a cosine down to zero."""
    warmup = max(1, round(warmup_fraction * num_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _average(decay: float, average: list[Tensor], now: list[Tensor], num_averaged: Tensor) -> None:
    """An exponential moving average that forgets its beginning faster, or a short training would keep its first steps."""
    num_steps = float(num_averaged)
    update = get_ema_multi_avg_fn(min(decay, (1 + num_steps) / (10 + num_steps)))  # type: ignore[no-untyped-call]
    update(average, now, num_averaged)
