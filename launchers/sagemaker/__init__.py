"""Runs a plan as SageMaker pipelines. So far they are compiled and run offline; docs/sagemaker.md says what is there.

``steps`` divides a plan into pipelines and jobs, ``definition`` writes them as the service reads them, ``job`` is what
each container runs, and ``offline`` runs definitions here.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker

if TYPE_CHECKING:
    from launchers.local import Listener, Outcome


def check(settings: SageMaker) -> None:
    """Raises ConfigError before anything begins, where this version cannot run a plan."""
    if settings.execute is None:
        raise ConfigError(
            "pipelines are not started on SageMaker by this version: it writes them, and runs them offline",
            where="launcher.execute",
            allowed="offline or containers",
            remedy="put `plan` in front to write the pipelines, or add launcher.execute=offline to run them here",
        )
    if settings.execute == "containers":
        from launchers.sagemaker.engine import require_engine

        require_engine()


def launch(
    plan: Plan,
    settings: SageMaker,
    store: Store,
    places: Mapping[str, Path],
    listen: "Listener",
    *,
    only: Collection[str] | None = None,
) -> "Mapping[str, Outcome]":
    """As ``launchers.local.launch``, by the plan's pipelines."""
    check(settings)
    from launchers.sagemaker.offline import run_pipelines

    return run_pipelines(plan, settings, store, places, listen, only=only)
