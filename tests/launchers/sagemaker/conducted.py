"""A conductor in a process of its own, for tests that kill it: ``python -m tests.launchers.sagemaker.conducted FOLDER``.

It dies as a killed process does once it has said what the variable DIES_AFTER names: an event's kind, how often.
"""

import os
import signal
import sys
from pathlib import Path

from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.local import Event
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.conductor import Conductor
from launchers.sagemaker.offline import OfflineService
from launchers.sagemaker.service import Service
from tests.conftest import DEMO
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.made_up import MadeUp


def conduct(folder: Path, kind: str, *typed: str, only: list[str] | None = None) -> dict[str, bool]:
    """Stage -> whether it was there before. ``kind``: of the service."""
    spec = declared(*DEMO, *typed, f"paths.groupings={folder}/groupings")
    assert isinstance(spec.launcher, SageMaker)
    store = Store(folder / "store")
    prepared = prepare(spec, store)
    bucket = FolderBucket(folder / "s3" / spec.launcher.bucket)
    service: Service = MadeUp(folder / "service", bucket)
    if kind == "offline":
        service = OfflineService(folder / "service", s3=folder / "s3", outlives=True)
    wanted, _, number = os.environ.get("DIES_AFTER", ":0").partition(":")
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.append(event.kind)
        if heard.count(wanted) == int(number) and event.kind == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    conductor = Conductor(prepared.plan, spec.launcher, store, bucket, service, listen)
    return {name: one.cached for name, one in conductor.go(prepared.places, only).items()}


if __name__ == "__main__":
    conduct(Path(sys.argv[1]), sys.argv[2], only=sys.argv[3].split(",") if len(sys.argv) > 3 else None)
