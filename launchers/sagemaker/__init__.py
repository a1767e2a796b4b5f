"""Runs a plan as SageMaker pipelines, on the service or, in its place, on this machine.

``steps`` divides a plan into pipelines and jobs, ``definition`` writes them as the service reads them, ``job`` is what
each container runs, ``conductor`` starts and follows them by a ``service``, and ``entry`` is the pipeline that runs the
conductor itself.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.resolve import resolve
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker

if TYPE_CHECKING:
    from launchers.local import Listener, Outcome


def check(settings: SageMaker) -> None:
    """Raises ConfigError or EnvironmentProblem before anything begins, for what cannot be or what this machine lacks."""
    if settings.execute is not None and not settings.wait:
        raise ConfigError(
            "what runs on this machine ends with the command that started it",
            where="launcher.wait",
            allowed=f"true, with launcher.execute={settings.execute}",
        )
    if settings.execute == "containers":
        from launchers.sagemaker.engine import require_engine

        require_engine()
    if settings.execute is None:
        from launchers.sagemaker.clients import require_boto3

        require_boto3()


def launch(
    plan: Plan,
    settings: SageMaker,
    store: Store,
    places: Mapping[str, Path],
    listen: "Listener",
    *,
    only: Collection[str] | None = None,
) -> "Mapping[str, Outcome]":
    """As ``launchers.local.launch``, by the plan's pipelines. Raises ConfigError for more than ``max_cost``."""
    from launchers.photographs import are_in_a_bucket
    from launchers.sagemaker.account import account
    from launchers.sagemaker.conductor import Conductor
    from launchers.sagemaker.forecast import require_cheap
    from launchers.sagemaker.photographs import fetch_into_stand_in

    require_cheap(plan, store, settings)
    folder = store.root / "sagemaker"
    if settings.execute is not None and are_in_a_bucket(plan) and _lacks_something(plan, store):
        fetch_into_stand_in(places["photographs"], folder / "s3", region=settings.region)
    with account(settings, folder) as (bucket, service):
        return Conductor(plan, settings, store, bucket, service, listen).go(places, only)


def _lacks_something(plan: Plan, store: Store) -> bool:
    return any(state.status != "cached" for state in resolve(plan, store).values())
