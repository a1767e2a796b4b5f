"""Teaches a whole network, trunk and head, on stored photographs."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from earthsnap_train.context import Context, Events
from earthsnap_train.data.augment import Mix, TrainTransform
from earthsnap_train.data.batches import SequentialBatches, ShuffledBatches
from earthsnap_train.data.loader import EvalTransform, RecordsDataset, make_loader
from earthsnap_train.models.backbone import Trunk
from earthsnap_train.models.bare_timm import convert_sync_batchnorm
from earthsnap_train.models.embed import preprocessing
from earthsnap_train.models.heads import Floats
from earthsnap_train.training.classifier import Classifier
from earthsnap_train.training.fit import Batches, Taught, fit
from earthsnap_train.training.imbalance import log_prior, sampling

if TYPE_CHECKING:
    from earthsnap_train.training.train import Settings

VAL_BATCH_IMAGES = 64


def teach_network(
    s: "Settings",
    examples: Path,
    trunk: Trunk,
    head: tuple[Floats, Floats] | None,
    records: Mapping[str, Path],
    context: Context,
    events: Events,
    *,
    num_epochs: int | None,
) -> tuple[tuple[Floats, Floats], Taught]:
    """(weight [C, F], bias [C]), and how long it was taught; ``trunk`` is taught in place.

    ``head``: where the head starts, else at zero. ``num_epochs``: when to end, ``None`` as the settings say.
    """
    assert s.training.augmentation is not None
    feed = RecordFeed(s, examples, list(records.values()), workers=_workers(context))
    linear = nn.Linear(trunk_features(trunk, s.backbone.image_px), len(s.classes))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head[0]) if head else torch.zeros_like(linear.weight))
        linear.bias.copy_(torch.from_numpy(head[1]) if head else torch.zeros_like(linear.bias))
    network: nn.Module = nn.Sequential(OrderedDict(trunk=trunk, head=linear)).to(memory_format=torch.channels_last)
    if context.resources.accelerator == "cuda" and context.resources.num_replicas > 1:
        # A batch's statistics are those of all its photographs, on however many devices. Not by torch's own conversion:
        # it would drop the activation that timm's normalisations hold.
        network = convert_sync_batchnorm(network)
    classifier = Classifier(
        network,
        settings=s.training,
        num_steps=s.training.num_epochs * feed.steps_per_epoch,
        seed=s.seed,
        log_prior_C=log_prior(s.training, feed.labels_N, len(s.classes)),
        lineages=s.lineages,
        mix=Mix.of(s.training.augmentation, num_classes=len(s.classes)),
    )
    scratch = context.scratch / "network"
    scratch.mkdir(exist_ok=True)
    stop_at = num_epochs and num_epochs * feed.steps_per_epoch
    step = fit(classifier, feed, scratch=scratch, resources=context.resources, events=events, stop_at=stop_at)
    weight_CF, bias_C = linear.weight.detach().cpu().numpy(), linear.bias.detach().cpu().numpy()
    return (weight_CF, bias_C), Taught(step, feed.steps_per_epoch)


def trunk_features(trunk: Trunk, image_px: int) -> int:
    """How many features the trunk gives."""
    trunk.eval()
    with torch.inference_mode():
        return int(trunk(torch.zeros(1, 3, image_px, image_px, dtype=torch.uint8)).shape[1])


def _workers(context: Context) -> int:
    """Processes that prepare photographs: on a CPU the network itself takes all of it."""
    return context.resources.workers if context.resources.accelerator == "cuda" else 0


class RecordFeed:
    """Stored photographs, varied while they are learnt from and prepared as for serving while they are watched."""

    def __init__(self, s: "Settings", examples: Path, folders: Sequence[Path], *, workers: int) -> None:
        prepared = preprocessing(s.backbone)
        assert s.training.augmentation is not None
        vary = TrainTransform(s.training.augmentation, prepared, seed=s.seed)
        watched = [] if "val" in s.splits else ["val"]
        self._taught = RecordsDataset(folders=folders, examples=examples, splits=s.splits, transform=vary)
        self._watched = RecordsDataset(
            folders=folders, examples=examples, splits=watched, transform=EvalTransform(prepared)
        )
        self._training = s.training
        self._seed = s.seed
        self._workers = workers
        self.labels_N = self._taught.labels
        self.steps_per_epoch = -(-len(self._taught) // s.training.batch_size)

    def train(self, step: int, *, rank: int, world_size: int) -> Iterable[tuple[Tensor, Tensor]]:
        picks = ShuffledBatches(
            labels=self.labels_N, batch_size=self._training.batch_size, seed=self._seed,
            balance=sampling(self._training), start_step=step,
            num_steps=self._training.num_epochs * self.steps_per_epoch, rank=rank, world_size=world_size,
        )  # fmt: skip
        return make_loader(self._taught, picks, num_workers=self._workers, pin_memory=torch.cuda.is_available())

    def val(self, *, rank: int, world_size: int) -> Batches:
        if len(self._watched) < world_size:  # too few to share: all look at all of them
            rank, world_size = 0, 1
        picks = SequentialBatches(
            num_examples=len(self._watched), batch_size=VAL_BATCH_IMAGES, rank=rank, world_size=world_size
        )
        return make_loader(self._watched, picks, num_workers=min(self._workers, 2))
