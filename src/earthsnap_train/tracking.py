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
FINISH_TIMEOUT_S = 120  # of one run's upload; what is then missing is in the run's folder


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
    """Weights & Biases: a run a job, all of one group. Offline unless a key is there and the service answers; no prompt."""

    def __init__(self, spec: Wandb) -> None:
        self._spec = spec

    def tell(self, runs: Sequence[TrackedRun], *, group: str, config: Mapping[str, object], folder: Path) -> str:
        wanted = self._spec.mode != "offline"
        why_offline = ", for there is no key" if wanted and not key_is_there() else ""
        mode = "online" if wanted and not why_offline else "offline"
        # Beside the runs, so that a folder copied to another machine can be synced from there with nothing lost.
        os.environ["WANDB_DATA_DIR"] = str(folder.resolve() / "wandb")
        os.environ["WANDB_SILENT"] = "true"
        import wandb

        settings = wandb.Settings(
            console="off", disable_git=True, disable_code=True, disable_job_creation=True, init_timeout=INIT_TIMEOUT_S,
            finish_timeout=FINISH_TIMEOUT_S, x_disable_stats=True, x_disable_meta=True,
        )  # fmt: skip
        for tracked in runs:
            try:
                run = self._begin(wandb, settings, tracked, mode=mode, group=group, config=config, folder=folder)
            except Exception as error:
                if mode == "offline":
                    raise
                # The service does not answer, or not to this key: nothing waits for it.
                mode, why_offline = "offline", f", for the service could not be used ({str(error).splitlines()[0]})"
                run = self._begin(wandb, settings, tracked, mode=mode, group=group, config=config, folder=folder)
            for step, values in tracked.rows:
                run.log(dict(values), step=step)
            run.summary.update(dict(tracked.summary))
            run.finish()
        wandb.teardown()  # ends W&B's own process, which until then may still be writing
        if mode == "online":
            return f"W&B      online, project {self._spec.project}, group {group}"
        return f"W&B      offline{why_offline}; to upload: wandb sync {folder / 'wandb'}/offline-run-*"

    def _begin(
        self, wandb: object, settings: object, tracked: TrackedRun, *, mode: str, group: str,
        config: Mapping[str, object], folder: Path,
    ) -> "_Run":  # fmt: skip
        run: _Run = wandb.init(  # type: ignore[attr-defined]
            mode=mode, project=self._spec.project, entity=self._spec.entity, group=group, job_type=tracked.job_type,
            name=f"{group} {tracked.name}", config=dict(config), dir=str(folder), settings=settings,
        )  # fmt: skip
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
