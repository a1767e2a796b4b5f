"""Teaches a linear head on frozen features: multinomial logistic regression by the same Lightning fit as everything else."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from earthsnap_train.context import Context, Events
from earthsnap_train.data.batches import ShuffledBatches
from earthsnap_train.data.examples import Examples
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.heads import Floats
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.classifier import Classifier
from earthsnap_train.training.fit import Taught, fit
from earthsnap_train.training.imbalance import log_prior, sampling

if TYPE_CHECKING:
    from earthsnap_train.training.train import Settings

SMALLEST_SCALE = 1e-6


def teach_head(
    s: "Settings",
    examples: Examples,
    embeddings: Embeddings,
    context: Context,
    events: Events,
    *,
    num_epochs: int | None,
) -> tuple[tuple[Floats, Floats], Taught]:
    """(weight [C, F], bias [C]), and how long it was taught; ``num_epochs``: when to end, ``None`` as the settings say.

    Features are centred and scaled while learning, which is folded into the head.
    """
    taught, watched = examples.of(*s.splits), examples.of(*({"val"} - set(s.splits)))
    features_NF = embeddings.of(taught.image_ids)
    # One scale for all features: a scale each would blow up those that hardly vary (on plants-dev it costs a point of top-1).
    mean_F = features_NF.mean(axis=0)
    scale = np.float32(np.sqrt(features_NF.var(axis=0).mean()) + SMALLEST_SCALE)
    training = s.training.model_copy(update=s.training.head_first.model_dump() if s.training.head_first else {})
    feed = FeatureFeed(
        training=training,
        seed=s.seed,
        taught=(torch.from_numpy((features_NF - mean_F) / scale), torch.from_numpy(taught.labels)),
        watched=(
            torch.from_numpy((embeddings.of(watched.image_ids) - mean_F) / scale),
            torch.from_numpy(watched.labels),
        ),
    )
    linear = nn.Linear(features_NF.shape[1], len(s.classes))
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    classifier = Classifier(
        linear,
        settings=training,
        num_steps=training.num_epochs * feed.steps_per_epoch,
        seed=s.seed,
        log_prior_C=log_prior(training, taught.labels, len(s.classes)),
        lineages=s.lineages,
    )
    scratch = context.scratch / "head"
    scratch.mkdir(exist_ok=True)
    # One device: a head's step is too short to be divided. Of several machines each comes to the same head.
    resources = replace(context.resources, devices=context.resources.devices[:1], num_hosts=1)
    stop_at = num_epochs and num_epochs * feed.steps_per_epoch
    step = fit(classifier, feed, scratch=scratch, resources=resources, events=events, stop_at=stop_at)
    weight_CF = linear.weight.detach().cpu().numpy() / scale
    bias_C = linear.bias.detach().cpu().numpy() - weight_CF @ mean_F
    return (weight_CF.astype(np.float32), bias_C.astype(np.float32)), Taught(step, feed.steps_per_epoch)


class FeatureFeed:
    """Features [N, F] and labels [N] held in memory."""

    def __init__(
        self,
        *,
        training: Teaching,
        seed: int,
        taught: tuple[Tensor, Tensor],
        watched: tuple[Tensor, Tensor],
    ) -> None:
        self._training = training
        self._seed = seed
        self._taught = taught
        self._watched = watched
        self.steps_per_epoch = -(-len(taught[1]) // training.batch_size)

    def train(self, step: int, *, rank: int, world_size: int) -> Iterable[tuple[Tensor, Tensor]]:
        inputs_NF, labels_N = self._taught
        batches = ShuffledBatches(
            labels=labels_N.numpy(), batch_size=self._training.batch_size, seed=self._seed,
            balance=sampling(self._training), start_step=step, rank=rank, world_size=world_size,
        )  # fmt: skip
        rows = (torch.from_numpy(picks.positions) for picks in batches)
        return ((inputs_NF[rows_B], labels_N[rows_B]) for rows_B in rows)

    def val(self, *, rank: int, world_size: int) -> list[tuple[Tensor, Tensor]]:
        inputs_NF, labels_N = (part[rank::world_size] for part in self._watched)
        return [(inputs_NF, labels_N)] if len(self._watched[1]) else []
