"""What each verb does, one file a verb; a verb's module is imported only when it is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from earthsnap_train.spec.debug import shrunk
from earthsnap_train.spec.run import RunSpec

MODULES: Mapping[str, str] = {
    "train": "train",
    "plan": "plan",
    "status": "status",
    "predict": "predict",
    "doctor": "doctor",
    "schema": "schema",
    "regroup": "regroup",
    "advise": "advise",
    "gc": "gc",
    "forget": "forget",
    "export-records": "export_records",
    "approve": "approve",
    "reject": "reject",
    "releases": "releases",
    "history": "history",
    "serve": "serve",
    "stop": "stop",
    "rollout": "rollout",
    "promote": "promote",
    "rollback": "rollback",
    "watch": "watch",
    "console": "console",
    "user": "user",
    "sync": "sync",
    "infra": "infra",
}


def perform(spec: RunSpec) -> tuple[int, Any]:
    """(exit code, what a sweep gets to see); raises EarthsnapError."""
    module = import_module(f"earthsnap_train.verbs.{MODULES[spec.job.verb]}")
    result: tuple[int, Any] = module.run(shrunk(spec) if spec.debug else spec)
    return result
