"""What ``conf/training/`` declares: how a node is taught."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from earthsnap_train.spec.augmentation import Augmentation
from earthsnap_train.spec.imbalance import Imbalance
from earthsnap_train.spec.model import SpecModel

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

OF_RANKS = frozenset({"label_smoothing_by", "rank_weight"})  # keys of a loss that asks for the taxa of the classes


class HeadFirst(SpecModel):
    """How a linear head alone is taught: before the whole network is, or as the probe beside the family."""

    num_epochs: Positive
    batch_size: Positive
    lr: Rate
    weight_decay: NonNegative


class Teaching(SpecModel):
    """How one node is taught, as far as it decides the result.

    ``method``: ``head`` teaches a linear head on frozen features, ``full`` the whole network, ``head_then_full`` one after
    the other (LP-FT, Kumar et al., ICLR 2022). ``batch_size`` is the effective one, over all devices.
    ``early_stopping_patience`` counts epochs, ``null`` never stops. ``imbalance``: sampling in proportion to 1, 1/sqrt(n)
    or 1/n of a species' images, or logit adjustment (Menon et al., ICLR 2021). ``head`` uses neither ``head_first`` nor
    ``augmentation``. ``rank_weight`` and ``label_smoothing_by`` are explained where they are computed, in ``training.loss``;
    they belong to whole networks.
    """

    method: Literal["head", "full", "head_then_full"]
    num_epochs: Positive
    batch_size: Positive
    lr: Rate
    weight_decay: NonNegative
    warmup_fraction: Fraction
    label_smoothing: Fraction
    label_smoothing_by: Literal["class", "taxonomy"]
    rank_weight: NonNegative
    imbalance: Imbalance
    ema_decay: Fraction | None
    early_stopping_patience: Positive | None
    precision: Literal["auto", "32", "bf16", "16"]
    head_first: HeadFirst | None
    augmentation: Augmentation | None

    @property
    def asks_ranks(self) -> bool:
        """Whether the loss has to know the taxa of the classes."""
        return self.rank_weight > 0 or self.label_smoothing_by == "taxonomy"

    def without_ranks(self) -> Self:
        """For a node whose classes stand in no taxonomy."""
        return self.model_copy(update={"label_smoothing_by": "class", "rank_weight": 0.0})

    def replaced(self, values: Mapping[str, bool | int | float | str | None]) -> Self:
        """With other values under dotted keys (``head_first.lr``). Raises KeyError and TypeError where there is no such key."""
        fields = self.model_dump()
        for key, value in values.items():
            *path, leaf = key.split(".")
            place = fields
            for part in path:
                place = place[part]
            if leaf not in place:
                raise KeyError(key)
            place[leaf] = value
        return type(self).model_validate(fields)


class Training(Teaching):
    """Teaching, and what surrounds it. ``fit_on``: which splits the released weights have seen."""

    head_first: HeadFirst
    augmentation: Augmentation
    fit_on: Literal["train", "train_val", "full"]
    records_px: Positive
    jpeg_quality: Annotated[int, Field(ge=50, le=100)]

    def teaching(self) -> Teaching:
        """Without what this method does not use, so that it changes nothing that does not depend on it."""
        fields = self.model_dump(include=set(Teaching.model_fields))
        if self.method == "head":
            fields |= {"head_first": None, "augmentation": None}
        elif self.method == "full":
            fields |= {"head_first": None}
        return Teaching.model_validate(fields)

    def probe(self) -> Teaching:
        """A plain linear head on frozen features, taught as ``head_first`` says."""
        own = self.head_first.model_dump()
        plain = self.model_copy(update={"method": "head", "ema_decay": None, "imbalance": "none", **own})
        return plain.without_ranks().teaching()
