"""One request, once it is known who asks and that they may."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from earthsnap_train.console.rate_limit import Attempts
from earthsnap_train.console.sessions import Session, Sessions
from earthsnap_train.console.users import Users
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.standing import Family, Standing, families
from earthsnap_train.spec.deployment import Deployment

ORIGIN = "console"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What all pages work on. ``is_local``: only this machine can reach it."""

    registry: Registry
    deployments: Deployments
    deployment: Deployment
    users: Users
    sessions: Sessions
    attempts: Attempts
    is_local: bool


@dataclass(frozen=True, kw_only=True)
class Asked:
    """``form``: the fields of a POST, each once. ``session`` is None only on pages that need nobody."""

    desk: Desk
    request: Request
    session: Session | None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def who(self) -> Session:
        assert self.session is not None
        return self.session

    @property
    def address(self) -> str:
        """Behind a proxy on this machine it is what that says of it, and so anything."""
        return self.request.client.host[:64] if self.request.client else "nowhere"

    @property
    def cookie(self) -> str:
        return cookie_name(self.request)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    def families(self) -> list[Family]:
        return families(self.desk.registry, self.desk.deployments)

    def family(self) -> Family:
        """That of the address. Raises HTTPException."""
        named = self.path("family")
        found = next((one for one in self.families() if one.name == named), None)
        if found is None:
            raise HTTPException(404, f"There is no family {named[:80]!r}.")
        return found

    def release(self) -> tuple[Family, Standing]:
        """That of the address. Raises HTTPException."""
        named = self.path("name")
        for family in self.families():
            for standing in family.releases:
                if standing.release.name == named:
                    return family, standing
        raise HTTPException(404, f"There is no release {named[:80]!r}.")


def cookie_name(request: Request) -> str:
    """Browsers do not tell the ports of a host apart; two consoles on one machine must not sign each other out."""
    return "__Host-earthsnap" if request.url.scheme == "https" else f"earthsnap-{request.scope['server'][1]}"


@dataclass(frozen=True, kw_only=True)
class Page:
    """``needs``: whom it answers. ``asks_itself``: the browser fetches it without a person, who may be gone."""

    method: Literal["GET", "POST"]
    path: str
    needs: Literal["nobody", "viewer", "approver"]
    answer: Callable[[Asked], Response]
    asks_itself: bool = False
