"""Teaches a linear head on frozen features: multinomial logistic regression by the same Lightning fit as everything else."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from earthsnap_train.context import Context, Events
from earthsnap_train.data.batches import ShuffledBatches
from earthsnap_train.data.examples import Examples
from earthsnap_train.models.embed import Embeddings
from earthsnap_train.models.heads import Floats
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.classifier import Classifier
from earthsnap_train.training.fit import fit
from earthsnap_train.training.imbalance import log_prior, sampling

if TYPE_CHECKING:
    from earthsnap_train.training.train import Settings

SMALLEST_SCALE = 1e-6


def teach_head(
    s: "Settings", examples: Examples, embeddings: Embeddings, context: Context, events: Events
) -> tuple[tuple[Floats, Floats], int]:
    """((weight [C, F], bias [C]), steps). Features are centred and scaled while learning, which is folded into the head."""
    taught, watched = examples.of(*s.splits), examples.of(*({"val"} - set(s.splits)))
    features_NF = embeddings.of(taught.image_ids)
    # One scale for all features: a scale each would blow up those that hardly vary (on plants-dev it costs a point of top-1).
    mean_F = features_NF.mean(axis=0)
    scale = np.float32(np.sqrt(features_NF.var(axis=0).mean()) + SMALLEST_SCALE)
    schedule = s.training if s.training.head_first is None else s.training.head_first
    feed = FeatureFeed(
        training=s.training,
        batch_size=schedule.batch_size,
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
        settings=s.training,
        lr=schedule.lr,
        weight_decay=schedule.weight_decay,
        num_steps=schedule.num_epochs * feed.steps_per_epoch,
        seed=s.seed,
        log_prior_C=log_prior(s.training, taught.labels, len(s.classes)),
    )
    scratch = context.scratch / "head"
    scratch.mkdir(exist_ok=True)
    steps = fit(classifier, feed, scratch=scratch, resources=context.resources, events=events)
    weight_CF = linear.weight.detach().cpu().numpy() / scale
    bias_C = linear.bias.detach().cpu().numpy() - weight_CF @ mean_F
    return (weight_CF.astype(np.float32), bias_C.astype(np.float32)), steps


class FeatureFeed:
    """Features [N, F] and labels [N] held in memory."""

    def __init__(
        self,
        *,
        training: Teaching,
        batch_size: int,
        seed: int,
        taught: tuple[Tensor, Tensor],
        watched: tuple[Tensor, Tensor],
    ) -> None:
        self._training = training
        self._batch_size = batch_size
        self._seed = seed
        self._taught = taught
        self._watched = watched
        self.steps_per_epoch = -(-len(taught[1]) // batch_size)

    def train(self, step: int, *, rank: int, world_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        inputs_NF, labels_N = self._taught
        for picks in ShuffledBatches(
            labels=labels_N.numpy(), batch_size=self._batch_size, seed=self._seed,
            balance=sampling(self._training), start_step=step, rank=rank, world_size=world_size,
        ):  # fmt: skip
            rows = torch.from_numpy(picks.positions)
            yield inputs_NF[rows], labels_N[rows]

    def val(self, *, rank: int, world_size: int) -> list[tuple[Tensor, Tensor]]:
        inputs_NF, labels_N = (part[rank::world_size] for part in self._watched)
        return [(inputs_NF, labels_N)] if len(labels_N) else []
