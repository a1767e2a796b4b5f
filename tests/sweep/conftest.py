"""Sweeps that never ran: records with jobs as they might have ended."""

from typing import Any

from earthsnap_train.spec.tuning import Choice, FloatRange, IntRange
from earthsnap_train.sweep.axes import Axis
from earthsnap_train.sweep.record import Job, SweepRecord
from earthsnap_train.sweep.settings import SweepSettings, sweep_settings

LR = Axis(key="training.lr", dimension=FloatRange(kind="float", low=0.0001, high=1.0, log=True, when={}))
BATCH = Axis(key="training.batch_size", dimension=IntRange(kind="int", low=8, high=64, step=8, when={}))
METHOD = Axis(key="training.method", dimension=Choice(kind="choice", of=["head", "full"], when={}))
DECAY = Axis(
    key="training.ema_decay",
    dimension=FloatRange(kind="float", low=0.9, high=0.999, when={"training.method": ["full"]}),
)


def settings(**changes: Any) -> SweepSettings:
    plain = {"sampler": "tpe", "objectives": None, "num_trials": 12, "max_failures": 1, "seed": 0, "population": 4,
             "params": {}, "resume": None}  # fmt: skip
    return sweep_settings(plain | changes)


def record(*jobs: Job, axes: tuple[Axis, ...] = (LR, BATCH), **changes: Any) -> SweepRecord:
    return SweepRecord(
        name="plants", started=0.0, settings=settings(**changes), config_name="config", sources=(),
        overrides=("+experiment=plants",), of_hydra=(), axes=axes, declared={}, jobs=jobs,
    )  # fmt: skip
