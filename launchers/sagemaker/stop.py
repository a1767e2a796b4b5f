"""Ends what a run has started, by what its folder says of it."""

import json
from collections.abc import Iterator
from pathlib import Path

from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.account import account


def stop_run(folder: Path, *, base: Path = Path()) -> list[str]:
    """The pipelines whose executions were at work. ``folder``: a run's; ``base``: where its command was given."""
    executions = dict(_executions(folder))
    if not executions:
        return []
    declared = json.loads((folder / "config.json").read_bytes())
    settings = SageMaker.model_validate(declared["launcher"])
    stopped = []
    with account(settings, base / declared["paths"]["store"] / "sagemaker") as (_, service):
        for execution, pipeline in executions.items():
            if service.progress(execution).is_running:
                service.stop(execution)
                stopped.append(pipeline)
    return stopped


def _executions(folder: Path) -> Iterator[tuple[str, str]]:
    """(execution, its pipeline), as the run told of them. Its last line may be half written: it is at work, or was killed."""
    events = folder / "events.jsonl"
    whole, _, _ = events.read_bytes().rpartition(b"\n") if events.is_file() else (b"", b"", b"")
    for line in whole.splitlines():
        event = json.loads(line)
        if event["event"] == "execution":
            yield event["execution"], event["pipeline"]
