"""An endpoint as those see it who roll releases out: a port, and what an endpoint says of itself.

What an endpoint is wanted to do is written into the registry (``deployments``); here is only whether it has been done.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import ConfigError, NotFoundError, did_you_mean
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import EndpointName

ServerState = Literal["starting", "ready", "failed", "draining"]


class Latency(BaseModel):
    """Percentiles in milliseconds, of requests that were answered and of those that ran into the time limit."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float
    p99: float


class Served(BaseModel):
    """One release at an endpoint. ``failed``: its server did not come up, for ``reason``; it is tried again now and then.

    The counts are of what it was asked since the wish last changed and everything wanted was first loaded: by users,
    pinned to it, and unseen. ``errors`` got no answer (5xx, 429, a time limit, a lost connection) or were refused where
    the other release answered; ``unsure`` answers name no species; ``agreed`` of ``compared`` photographs got the same
    first name from canary and stable.
    """

    model_config = ConfigDict(frozen=True)

    state: ServerState
    reason: str = ""
    memory_mb: float = 0.0
    requests: int = 0
    errors: int = 0
    unsure: int = 0
    latency_ms: Latency | None = None
    compared: int = 0
    agreed: int = 0


class Observed(BaseModel):
    """What ``GET /v1/endpoint`` answers. ``revision`` is that of the wish that it acts on, 0 where it has none.

    ``stable`` is what answers at this moment: the release before, until the wanted one is loaded. ``ready``: all that is
    wanted is loaded, and traffic goes as wanted.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    endpoint: EndpointName
    revision: int
    stable: str | None
    canary: str | None
    share: float
    standby: str | None
    ready: bool
    releases: Mapping[str, Served]


class Endpoint(Protocol):
    """A place that serves what the registry wants of it."""

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""

    def ensure(self) -> None:
        """Starts it where it does not run. Returns once it can be observed, which may be before a release is loaded."""

    def observe(self) -> Observed:
        """Raises EnvironmentProblem where it does not answer."""


def family_served(registry: Registry, named: str | None) -> str:
    """The family that is meant: the one that is named, else the only one in the registry."""
    families = sorted({release.family for release in registry.releases()})
    if named is None and len(families) == 1:
        return families[0]
    if named is None:
        raise ConfigError(
            "the registry holds more than one family" if families else "the registry holds no release yet",
            where="family",
            allowed=", ".join(families),
            remedy=f"add family={families[0]}" if families else "earthsnap +experiment=plants trains a first one",
        )
    if named not in families:
        raise NotFoundError(
            f"there is no family {named!r} in the registry",
            where="family",
            allowed=", ".join(families),
            remedy=did_you_mean(named, families),
        )
    return named
