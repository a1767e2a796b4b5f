"""An endpoint of this machine: one process in front of a server process for each release that is wanted."""

from earthsnap_train.spec.deployment import EndpointName
from earthsnap_train.spec.run import RunSpec


def serve_endpoint(spec: RunSpec, family: str, endpoint: EndpointName) -> None:
    """Serves what the registry wants of this endpoint until SIGTERM. Raises EnvironmentProblem where its port is taken."""
    raise NotImplementedError
