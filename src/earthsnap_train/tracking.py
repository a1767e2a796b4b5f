"""The Tracker port: tells others of a run's curves and results, from what the run wrote, once it has written it.

The only file that imports wandb.
"""

import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

from earthsnap_train.spec.tracking import NoTracking, TrackingSpec, Wandb

INIT_TIMEOUT_S = 5


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One job of a family run. ``rows``: (step, what was measured there). ``job_type``: train-parent, train-child, ..."""

    name: str
    job_type: str
    rows: Sequence[tuple[int, Mapping[str, float]]]
    summary: Mapping[str, float]


class Tracker(Protocol):
    """Somewhere to which a family run is told."""

    def tell(self, runs: Sequence[TrackedRun], *, group: str, config: Mapping[str, object], folder: Path) -> str:
        """Returns one line for the person who started the run. ``folder``: the run's own."""


def tracker(spec: TrackingSpec) -> Tracker:
    match spec:
        case NoTracking():
            return Nobody()
        case Wandb():
            return WandbTracker(spec)
        case _:
            assert_never(spec)


class Nobody:
    """The fake, and the choice of those who track nothing."""

    def tell(self, runs: Sequence[TrackedRun], *, group: str, config: Mapping[str, object], folder: Path) -> str:
        return ""


class WandbTracker:
    """Weights & Biases: a run a job, all of one group. Offline unless a key is there; it never prompts."""

    def __init__(self, spec: Wandb) -> None:
        self._spec = spec

    def tell(self, runs: Sequence[TrackedRun], *, group: str, config: Mapping[str, object], folder: Path) -> str:
        mode = self._spec.mode if self._spec.mode != "auto" else "online" if key_is_there() else "offline"
        # Beside the runs, so that a folder copied to another machine can be synced from there with nothing lost.
        os.environ["WANDB_DATA_DIR"] = str(folder.resolve() / "wandb")
        os.environ["WANDB_SILENT"] = "true"
        import wandb

        settings = wandb.Settings(
            console="off", disable_git=True, disable_code=True, disable_job_creation=True, init_timeout=INIT_TIMEOUT_S,
            x_disable_stats=True, x_disable_meta=True,
        )  # fmt: skip
        for tracked in runs:
            run = self._begin(wandb, settings, tracked, mode=mode, group=group, config=config, folder=folder)
            if run is None:
                mode = "offline"  # the service did not answer in time: nothing waits for it
                run = self._begin(wandb, settings, tracked, mode=mode, group=group, config=config, folder=folder)
            assert run is not None
            for step, values in tracked.rows:
                run.log(dict(values), step=step)
            run.summary.update(dict(tracked.summary))
            run.finish()
        if mode == "online":
            return f"W&B      online, project {self._spec.project}, group {group}"
        return f"W&B      offline; to upload: wandb sync {folder / 'wandb'}/offline-run-*"

    def _begin(
        self, wandb: object, settings: object, tracked: TrackedRun, *, mode: str, group: str,
        config: Mapping[str, object], folder: Path,
    ) -> "_Run | None":  # fmt: skip
        try:
            run: _Run = wandb.init(  # type: ignore[attr-defined]
                mode=mode, project=self._spec.project, entity=self._spec.entity, group=group, job_type=tracked.job_type,
                name=f"{group} {tracked.name}", config=dict(config), dir=str(folder), settings=settings,
            )  # fmt: skip
        except Exception:
            if mode == "offline":
                raise
            return None
        return run


class _Run(Protocol):
    """What is used of a wandb run."""

    summary: dict[str, float]

    def log(self, values: dict[str, float], *, step: int) -> None: ...
    def finish(self) -> None: ...


def key_is_there() -> bool:
    """Whether W&B could sign in: by its variable, or by the login that ``wandb login`` left."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc().hosts
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
