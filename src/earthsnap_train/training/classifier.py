"""The LightningModule: any network that ends in logits, its loss, its optimiser and its schedule."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from earthsnap_train.spec.training import Teaching


class Classifier(pl.LightningModule):
    """Teaches ``network`` (inputs -> logits [B, C]) for ``num_steps`` steps.

    ``log_prior_C`` is added to the logits while training (logit adjustment, Menon et al., ICLR 2021); ``None`` adds nothing.
    Random choices inside the network (dropout, drop path) are a function of ``seed`` and the step, so that a run that
    was killed goes on as it would have.
    """

    log_prior_C: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        settings: Teaching,
        lr: float,
        weight_decay: float,
        num_steps: int,
        seed: int,
        log_prior_C: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.lr = lr
        self.weight_decay = weight_decay
        self.num_steps = num_steps
        self.seed = seed
        self.register_buffer("log_prior_C", log_prior_C, persistent=False)
        self.last_loss = torch.zeros(())
        self._val_sums = torch.zeros(3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BC: Tensor = self.network(inputs)
        return logits_BC

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, labels_B = batch
        logits_BC = self(inputs)
        if self.log_prior_C is not None:
            logits_BC = logits_BC + self.log_prior_C
        loss = functional.cross_entropy(logits_BC, labels_B, label_smoothing=self.settings.label_smoothing)
        self.last_loss = loss.detach()
        return loss

    def on_validation_epoch_start(self) -> None:
        self._val_sums = torch.zeros(3, device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        inputs, labels_B = batch
        logits_BC = self(inputs).float()
        loss = functional.cross_entropy(logits_BC, labels_B, reduction="sum")
        right = (logits_BC.argmax(dim=1) == labels_B).sum()
        self._val_sums += torch.stack([loss, right, torch.full_like(loss, len(labels_B))])

    def on_validation_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(self._val_sums, reduce_op="sum")
        loss, right, count = (float(v) for v in sums)
        # One logging call an epoch: Lightning's own logging costs as much as a step of a small head.
        self.log_dict({"val_loss": loss / max(count, 1), "val_top1": right / max(count, 1)}, rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        decayed = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share_of_lr(self, step: int) -> float:
        """A linear warm-up, then a cosine down to zero."""
        warmup = max(1, round(self.settings.warmup_fraction * self.num_steps))
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, self.num_steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
