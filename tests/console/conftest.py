"""A console that listens, releases to decide about, and browsers without a window."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from earthsnap_train.console.app import make_desk
from earthsnap_train.console.asked import Desk
from earthsnap_train.console.server import listen, make_server
from earthsnap_train.console.users import Role
from earthsnap_train.release.deployments import Deployments, Rollout, Wanted
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.deployment import Deployment
from tests.conftest import declare
from tests.release.bundles import register

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def words(self) -> str:
        """What a person reads of the page."""
        text = re.sub(r"<(title|style|script)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        return (
            re.sub(r"\s+(?=[.,:;?]?)", " ", unescape(re.sub(r"<[^>]+>", " ", text)))
            .replace(" ,", ",")
            .replace(" .", ".")
        )

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found is not None, f"no field {name} in {self.words}"
        return unescape(found[1])


@dataclass(kw_only=True)
class Browser:
    """Keeps cookies and says where its forms come from, as browsers do; a test may have it lie in ``headers``."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
        return self._ask(method, path, None, {**(headers or {})})

    def post(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Origin": f"http://{self.host}", "Content-Type": FORM, **(headers or {})}
        return self._ask("POST", path, urlencode(fields).encode(), sent)

    def submit(self, path: str, fields: Mapping[str, str], *, on: str) -> Answer:
        """As the form on that page, with its hidden fields, to where the form sends it; then where that leads."""
        page = self.get(on)
        hidden = {name: page.field(name) for name in ("csrf", "seen", "rollout") if f'name="{name}" value' in page.text}
        # The page signs out with the same csrf field, so that the first one found is as good as any.
        answer = self.post(path, {**hidden, **fields})
        return self.get(answer.location) if answer.status == 303 else answer

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **headers}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name: value for name, value in headers.items() if value})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        if "set-cookie" in found:
            name, _, value = found["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return Answer(status=response.status, headers=found, text=text)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Console:
    desk: Desk
    port: int
    clock: Clock

    @property
    def registry(self) -> Registry:
        return self.desk.registry

    @property
    def deployments(self) -> Deployments:
        return self.desk.deployments

    def anybody(self) -> Browser:
        return Browser(port=self.port)

    def sign_in(self, login: str = "anna", role: Role = "approver") -> Browser:
        browser = self.anybody()
        answer = browser.post("/sign-in", {"token": self.desk.users.add(login, role)})
        assert answer.status == 303, answer.words
        return browser

    def log(self) -> list[tuple[str, str, str, str]]:
        """(who, action, release, why) of what came from these pages."""
        return [(e.who, e.action, e.release, e.why) for e in self.registry.ledger.history() if e.origin == "console"]

    # ---- releases

    def register(self, seed: int, *reasons: str, top1: float = 0.9, family: str = "plants") -> Release:
        return register(self.registry, seed, *reasons, top1=top1, family=family)

    def go_live(self, release: Release) -> None:
        self.registry.approve(release.name, why="", origin="test")
        rollout = self.deployments.begin(release.family, release.number, origin="test")
        self.deployments.go_live(rollout, standby=True, origin="test")

    def begin(self, release: Release, *, share: float | None = None) -> Rollout:
        """As far as to wait in stage, or, with a share, to answer that much of production."""
        self.registry.approve(release.name, why="", origin="test")
        rollout = self.deployments.begin(release.family, release.number, origin="test")
        if share is None:
            return self.deployments.advance(rollout, "waiting", said="waiting", origin="test")
        live = f"{release.family}-{self.deployments.champion(release.family)}"
        wish = Wanted(stable=live, canary=release.name, share=share)
        return self.deployments.advance(rollout, "canary", 0, prod=wish, said="canary", origin="test")


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """As declared, but where no endpoint listens."""
    return declare("console", "deployment.prod.port=1", "deployment.stage.port=2").deployment


@pytest.fixture
def open_console(tmp_path: Path, deployment: Deployment) -> Iterator[Callable[..., Console]]:
    servers = []

    def open_one(*, is_local: bool = True, deployment: Deployment = deployment) -> Console:
        clock = Clock()
        desk = make_desk(Registry(tmp_path / "registry"), deployment, is_local=is_local, clock=clock)
        listening = listen("127.0.0.1", 0)
        server = make_server(desk)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.005)
        return Console(desk=desk, port=listening.getsockname()[1], clock=clock)

    yield open_one
    for server, thread in servers:
        server.should_exit = True
        thread.join()


@pytest.fixture
def console(open_console: Callable[..., Console]) -> Console:
    return open_console()
