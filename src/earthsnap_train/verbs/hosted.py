"""What verbs ask of hosted endpoints; those of this machine look for themselves. Nothing is imported before it is needed."""

from threading import Event

from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.run import RunSpec


def follow(spec: RunSpec, registry: Registry, family: str) -> None:
    """Has production serve what the registry wants by now, at once. Nothing while a rollout is under way, whose driver does it.

    Raises EnvironmentProblem where production does not come to it.
    """
    if not isinstance(spec.deployment, SageMaker):
        return
    deployments = Deployments(registry.ledger)
    if deployments.wanted(family, "prod") is not None and deployments.under_way(family) is None:
        from launchers.sagemaker.rollout import endpoints, follow

        follow(endpoints(spec.deployment, spec.serving, registry, family, Event().wait)["prod"])


def url_of(on: SageMaker, spec: RunSpec, registry: Registry, family: str, endpoint: EndpointName) -> str | None:
    """Where it answers as the registry wants; None where it does not."""
    from launchers.loading import is_up
    from launchers.sagemaker.rollout import endpoints

    at = endpoints(on, spec.serving, registry, family, Event().wait)[endpoint]
    return at.url if is_up(at) else None
