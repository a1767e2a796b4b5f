"""What production does, as it is told to people, and what they may do about it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from earthsnap_train.console.observe import observe
from earthsnap_train.release.deployments import Wanted
from earthsnap_train.spec.deployment import Deployment
from tests.conftest import declare
from tests.console.conftest import Browser, Console
from tests.launchers.sagemaker.hosted_kit import hosted

ONE, TWO = "plants-1", "plants-2"
SERVED = {"state": "ready", "memory_mb": 412.0, "requests": 2000, "errors": 3, "unsure": 40,
          "latency_ms": {"p50": 21.4, "p95": 40.2, "p99": 70.9}, "compared": 0, "agreed": 0}  # fmt: skip
OBSERVED = {
    "family": "plants", "endpoint": "prod", "revision": 3, "stable": ONE, "canary": TWO, "share": 0.1, "standby": None,
    "ready": True, "releases": {ONE: SERVED, TWO: SERVED | {"requests": 200, "compared": 50, "agreed": 49}},
}  # fmt: skip


class Endpoint:
    """Answers whatever it is asked as it is told."""

    def __init__(self) -> None:
        endpoint = self
        self.status, self.body = 200, json.dumps(OBSERVED).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(endpoint.status if self.path == "/v1/endpoint" else 404)
                self.end_headers()
                self.wfile.write(endpoint.body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def says(self, **changes: Any) -> None:
        self.body = json.dumps(OBSERVED | changes).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    one = Endpoint()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


@pytest.fixture
def confirmed_by_a_person() -> Deployment:
    return declare("console", "deployment.prod.confirm=person", "deployment.prod.port=1").deployment


def roll_back(browser: Browser, name: str, why: str = "it lies") -> str:
    return browser.submit(f"/releases/{name}/roll-back", {"why": why}, on=f"/releases/{name}/roll-back").words


# ---- looking


def test_canary_figures_stand_beside_the_champions(open_console: Callable[..., Console], endpoint: Endpoint) -> None:
    console = open_console(deployment=declare("console", f"deployment.prod.port={endpoint.port}").deployment)
    console.go_live(console.register(1))
    console.begin(console.register(2), share=0.1)
    browser = console.sign_in()

    for path in ("/rollouts/plants", "/rollouts/plants/live"):
        words = browser.get(path).words
        assert "plants-2 answers 10% of production." in words
        assert "Requests 2,000 200" in words
        assert "Without an answer 0.1% 3 of 2,000 1.5% 3 of 200 1 point more" in words
        assert "95 of 100 within 40 ms 40 ms 1.5 times as long" in words
        assert "Says the same as plants-1 98.0% 49 of 50 under 80%" in words
    assert "<html" not in browser.get("/rollouts/plants/live").text


def test_the_way_of_a_release_shows_where_it_is(
    open_console: Callable[..., Console], confirmed_by_a_person: Deployment
) -> None:
    console = open_console(deployment=confirmed_by_a_person)
    console.go_live(console.register(1))
    rollout = console.begin(console.register(2))
    browser = console.sign_in()

    def way() -> str:
        return browser.get("/rollouts/plants").text.partition('aria-current="step"><b>')[2].partition("<")[0]

    assert way() == "Promotion"
    rollout = console.deployments.advance(rollout, "promoted", origin="test")
    assert way() == "10% of requests"
    for step, label in ((0, "10% of requests"), (1, "50% of requests"), (2, "Live")):
        rollout = console.deployments.advance(rollout, "canary", step, origin="test")
        assert way() == label


def test_a_first_release_has_no_canary_steps(console: Console) -> None:
    console.begin(console.register(1))

    words = console.sign_in().get("/rollouts/plants").words

    assert "Tests in stage done Live" in words
    assert "of requests" not in words


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        b"[]",
        json.dumps(OBSERVED | {"family": "birds"}).encode(),
        b'{"family": "plants"}' + b" " * 2_000_000,
    ],
)
def test_what_is_no_endpoint_of_this_family_has_no_figures(endpoint: Endpoint, body: bytes) -> None:
    endpoint.body = body

    assert observe("plants", "127.0.0.1", endpoint.port) is None


def test_an_endpoint_that_listens_everywhere_is_asked_here(endpoint: Endpoint) -> None:
    seen = observe("plants", "0.0.0.0", endpoint.port)

    assert seen is not None
    assert seen.share == 0.1
    endpoint.status = 500
    assert observe("plants", "127.0.0.1", endpoint.port) is None


def test_an_endpoint_that_is_away_is_said_to_be_so(console: Console) -> None:
    console.go_live(console.register(1))

    words = console.sign_in().get("/rollouts/plants").words

    assert "The production endpoint does not answer at 127.0.0.1:1" in words
    assert "earthsnap serve endpoint=prod family=plants" in words


def test_a_hosted_endpoint_is_said_to_be_hosted_and_not_to_be_away(open_console: Callable[..., Console]) -> None:
    console = open_console(deployment=hosted().deployment)
    console.go_live(console.register(1))

    words = console.sign_in().get("/rollouts/plants").words

    assert "The production endpoint is hosted on SageMaker" in words
    assert "does not answer" not in words


def test_with_one_family_production_is_its_page(console: Console) -> None:
    browser = console.sign_in()
    assert "No release yet." in browser.get("/rollouts").words
    console.register(1)
    assert browser.get("/rollouts").location == "/rollouts/plants"
    console.register(1, family="birds")
    assert "birds nothing is live" in browser.get("/rollouts").words


# ---- promoting


def test_what_waits_in_stage_is_tried_and_promoted(
    open_console: Callable[..., Console], confirmed_by_a_person: Deployment
) -> None:
    console = open_console(deployment=confirmed_by_a_person)
    console.begin(console.register(1))
    browser = console.sign_in()
    page = browser.get("/rollouts/plants")
    assert "plants-1 waits in stage for you." in page.words
    assert 'href="http://127.0.0.1:8101/"' in page.text

    done = browser.submit("/rollouts/plants/promote", {}, on="/rollouts/plants")

    assert "You promoted plants-1." in done.words
    assert console.log()[-1] == ("anna", "promoted", ONE, "")
    rollout = console.deployments.under_way("plants")
    assert rollout is not None
    assert rollout.phase == "promoted"


def test_what_does_not_wait_any_more_is_not_promoted(console: Console) -> None:
    rollout = console.begin(console.register(1))
    browser = console.sign_in()
    page = browser.get("/rollouts/plants")
    sent = {name: page.field(name) for name in ("csrf", "rollout")}
    console.deployments.fail(rollout, "it burns", origin="test")
    console.begin(console.register(2))

    browser.post("/rollouts/plants/promote", sent)

    assert "Nothing was changed" in browser.get("/rollouts/plants").words
    assert all(action != "promoted" for _, action, _, _ in console.log())


def test_a_viewer_is_shown_no_button(console: Console) -> None:
    console.go_live(console.register(1))
    console.begin(console.register(2))
    viewer = console.sign_in("ben", "viewer")

    for path in ("/rollouts/plants", f"/releases/{ONE}", f"/releases/{TWO}", "/"):
        text = viewer.get(path).text
        assert text.count("<form") == text.count('action="/sign-out"') + text.count('method="get"'), path
        assert "roll-back" not in text
        assert "withdraw" not in text


# ---- the way back


def test_rolling_back_says_first_what_will_answer_and_then_what_does(console: Console) -> None:
    for seed in (1, 2):
        console.go_live(console.register(seed))
    browser = console.sign_in()
    assert "plants-1 will answer all of production again, at once" in browser.get(f"/releases/{TWO}/roll-back").words
    assert "Say why it must go." in roll_back(browser, TWO, why=" ")
    assert console.deployments.champion("plants") == 2

    assert "You rolled plants-2 back: plants-1 answers again." in roll_back(browser, TWO)

    assert console.deployments.champion("plants") == 1
    assert console.log()[-1] == ("anna", "rolled back", TWO, "it lies")


def test_what_is_on_its_way_is_taken_back(console: Console) -> None:
    console.go_live(console.register(1))
    console.begin(console.register(2), share=0.5)
    browser = console.sign_in()
    assert (
        "Take plants-2 back? plants-1 will answer all of production, at once"
        in browser.get(f"/releases/{TWO}/roll-back").words
    )

    words = roll_back(browser, TWO)

    assert "its rollout has ended; plants-1 goes on answering" in words
    wanted = console.deployments.wanted("plants", "prod")
    assert wanted is not None
    assert wanted.model_copy(update={"revision": 0}) == Wanted(stable=ONE)


def test_where_nothing_came_before_there_is_no_way_back(console: Console) -> None:
    console.go_live(console.register(1))

    page = console.sign_in().get(f"/releases/{ONE}/roll-back")

    assert "there is nothing to go back to" in page.words
    assert "<textarea" not in page.text


def test_what_is_rolled_back_by_another_meanwhile_is_told(console: Console) -> None:
    for seed in (1, 2):
        console.go_live(console.register(seed))
    browser = console.sign_in()
    csrf = browser.get("/").field("csrf")
    console.deployments.roll_back("plants", 2, why="", origin="test")

    answer = browser.post(f"/releases/{TWO}/roll-back", {"csrf": csrf, "why": "it lies"})

    assert "Nothing was changed: plants-2 was rolled back." in browser.get(answer.location).words
    assert console.deployments.champion("plants") == 1
