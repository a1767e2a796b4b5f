"""What goes wrong in an execution on this machine, so that it can be seen to come right: a test tool.

``Attempts`` is told what of it happened, and does what the service does about it: a job that it failed itself is tried
again by the step's policies; a job whose spot capacity was taken away is started again, with its checkpoints alone.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from earthsnap_train.errors import StageError
from launchers.sagemaker import places
from launchers.sagemaker.bucket import FolderBucket

LOST = "SageMaker.JOB_INTERNAL_ERROR"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """By job. ``interrupted`` and ``lost`` happen once; what is started after them runs undisturbed.

    ``refused``: with which of the service's exception types its first attempts end, before anything runs.
    ``interrupted``: pattern of a file among its checkpoints; once there is one, its spot capacity is taken away.
    ``lost``: pattern of an object; its machine is lost while the first such is uploaded, and half of that stays.
    """

    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    interrupted: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)


class Failed(Exception):
    """The service failed a job, not the job itself. ``kind``: an exception type of retry policies."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind, self.why = kind, why


class Interrupted(Exception):
    """A job's spot capacity was taken away."""


class Attempts:
    """Of all jobs of one execution. ``told``: hears of each fault, by job. ``sleep``: for the seconds between attempts."""

    def __init__(self, faults: Faults, *, told: Callable[[str, str], None], sleep: Callable[[float], None]) -> None:
        self._faults, self._told, self._sleep = faults, told, sleep
        self._num_tried: Counter[str] = Counter()
        self._over: set[tuple[str, str]] = set()  # faults that have happened

    def run(self, step: Mapping[str, Any], attempt: Callable[[], None]) -> None:
        """Raises StageError once the step's policies allow no further attempt, and whatever else ``attempt`` raises."""
        name = step["Name"]
        num_failed: Counter[int] = Counter()
        while True:
            try:
                self._maybe_refuse(name)
                attempt()
                self._require_happened(name)
                return
            except Interrupted:
                self._told(name, "its spot capacity was taken away; it is started again with its checkpoints")
            except Failed as failed:
                at, policy = _policy(step, failed.kind)
                if policy is None or num_failed[at] >= policy["MaxAttempts"]:
                    raise StageError(failed.why, where=name, allowed=_allowed(policy, failed.kind)) from failed
                wait_s = policy["IntervalSeconds"] * policy["BackoffRate"] ** num_failed[at]
                num_failed[at] += 1
                self._told(name, f"{failed.why}; it is tried again in {wait_s:g} s")
                self._sleep(wait_s)

    def _maybe_refuse(self, name: str) -> None:
        refused = self._faults.refused.get(name, ())
        self._num_tried[name] += 1
        if self._num_tried[name] <= len(refused):
            kind = refused[self._num_tried[name] - 1]
            raise Failed(kind, f"the service ended it with {kind}")

    def _require_happened(self, name: str) -> None:
        for fault in ("interrupted", "lost"):
            if self._is_due(fault, name):
                raise StageError(f"it ended before it could be {fault}", where=name)

    # ---- within one attempt

    def environment(self, name: str) -> dict[str, str]:
        """What its container needs to know."""
        return {places.LOSE_VARIABLE: self._faults.lost[name]} if self._is_due("lost", name) else {}

    def moment(self, name: str, checkpoints: Path) -> Callable[[], bool] | None:
        """Whether its capacity is to be taken away now; None where it never is."""
        if not self._is_due("interrupted", name):
            return None
        return lambda: any(checkpoints.rglob(self._faults.interrupted[name]))

    def ended(self, name: str, code: int, *, interrupted: bool) -> None:
        """Raises what a job that ended with ``code`` came to by a fault; returns where it was its own doing."""
        if interrupted and code != 0:
            self._over.add(("interrupted", name))
            raise Interrupted
        if self._is_due("lost", name) and code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            self._over.add(("lost", name))
            raise Failed(LOST, "its machine was lost")

    def _is_due(self, fault: str, name: str) -> bool:
        return name in getattr(self._faults, fault) and (fault, name) not in self._over


def _policy(step: Mapping[str, Any], kind: str) -> tuple[int, Mapping[str, Any] | None]:
    for at, policy in enumerate(step.get("RetryPolicies", ())):
        if kind in policy["ExceptionType"]:
            return at, policy
    return -1, None


def _allowed(policy: Mapping[str, Any] | None, kind: str) -> str:
    return f"no policy tries {kind} again" if policy is None else f"{policy['MaxAttempts']} further attempts"


class LosingBucket(FolderBucket):
    """The machine that uploads to it is lost half-way through the first object like ``pattern``.

    S3 itself keeps nothing of an upload that was cut; here half of it stays, which is worse.
    """

    def __init__(self, root: Path, pattern: str) -> None:
        super().__init__(root)
        self._pattern = pattern

    def upload(self, key: str, file: Path) -> None:
        if not fnmatch(key, self._pattern):
            super().upload(key, file)
            return
        content = file.read_bytes()
        self._made(key).write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the signal may take a moment, and nothing else is to happen in it
