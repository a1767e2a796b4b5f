"""Looking at an endpoint until it has loaded what is wanted of it, through its end and its start."""

from pathlib import Path

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.endpoint import Endpoint, Observed
from earthsnap_train.spec.deployment import EndpointName

LOAD_WITHIN_S = 180.0


def observe_or_start(endpoint: Endpoint) -> Observed | None:
    """None where it had to be started again."""
    try:
        return endpoint.observe()
    except EnvironmentProblem:
        endpoint.ensure()
        return None


def is_up(endpoint: Endpoint) -> bool:
    try:
        return endpoint.observe().ready
    except EnvironmentProblem:
        return False


def not_loaded(registry: Path, family: str, name: EndpointName, seen: Observed | None) -> EnvironmentProblem:
    """What to tell of an endpoint that takes too long, with what it says of each release."""
    states = {} if seen is None else {one: f"{s.state} {s.reason}".strip() for one, s in seen.releases.items()}
    return EnvironmentProblem(
        f"the endpoint {name} has not loaded what is wanted of it within {LOAD_WITHIN_S:g} s: {states or 'no answer'}",
        where="deployment",
        remedy=f"look at {registry / family / 'endpoints' / name}.log, then the same command again",
    )
