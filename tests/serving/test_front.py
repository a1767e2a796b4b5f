"""An endpoint as it runs: real processes, real traffic, and stand-ins for servers that misbehave as they are told."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.serving.endpoint_kit import NEW, OLD, EndpointKit, load, running_endpoint

Reply = tuple[int, Mapping[str, str], bytes]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[EndpointKit]:
    with running_endpoint(EndpointKit(tmp_path)) as kit:
        yield kit


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[EndpointKit]:
    """Has little time, and takes small bodies."""
    with running_endpoint(EndpointKit(tmp_path, "serving.timeout_s=1", "serving.max_body_mb=0.01")) as kit:
        yield kit


def post(kit: EndpointKit, path: str, **asked: object) -> Reply:
    return request(kit, "POST", path, **asked)


def request(kit: EndpointKit, method: str, path: str, **asked: object) -> Reply:
    async def run() -> Reply:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{kit.local.url}{path}", **asked) as response,  # type: ignore[arg-type]
        ):
            return response.status, response.headers, await response.read()

    return asyncio.run(run())


# ---- swapping


def test_a_swap_under_load_fails_no_request_and_the_old_server_ends(kit: EndpointKit) -> None:
    kit.serve(OLD)

    def swap() -> None:
        time.sleep(0.5)
        kit.want(NEW)
        kit.until(lambda seen: seen.ready and seen.stable == NEW)
        time.sleep(0.5)

    traffic = load(kit.local.url, rate_per_s=150, during=swap)

    assert traffic.all_answered, traffic.codes
    assert traffic.by[OLD] > 0
    assert traffic.by[NEW] > 0
    assert traffic.answers[-1]["release"] == NEW
    kit.until(lambda seen: list(seen.releases) == [NEW])
    assert list(kit.servers()) == [NEW]


def test_a_release_that_does_not_start_is_refused_by_its_reason_while_the_old_one_serves(kit: EndpointKit) -> None:
    kit.serve(OLD)
    kit.tell(NEW, start="error: release: nodes/parent.onnx is not what was registered\n  remedy:  train again")

    def try_it() -> None:
        kit.want(NEW, standby=OLD)
        kit.until(lambda seen: seen.releases[NEW].state == "failed")

    traffic = load(kit.local.url, rate_per_s=50, during=try_it)

    assert traffic.all_answered
    assert set(traffic.by) == {OLD}
    seen = kit.local.observe()
    assert (seen.stable, seen.ready) == (OLD, False)
    assert seen.releases[NEW].reason == "release: nodes/parent.onnx is not what was registered (ended with exit code 1)"


def test_a_release_that_failed_to_start_serves_once_it_can(kit: EndpointKit) -> None:
    kit.tell(OLD, start="error: the disk is full")
    kit.want(OLD)
    kit.start()
    kit.until(lambda seen: seen.releases[OLD].state == "failed")
    assert request(kit, "GET", "/ping")[0] == 503

    kit.tell(OLD)

    kit.until(lambda seen: seen.ready)
    assert request(kit, "GET", "/ping")[0] == 200


def test_an_endpoint_of_which_nothing_is_wanted_any_more_ends_its_servers(kit: EndpointKit) -> None:
    kit.serve(OLD)
    kit.forget_wish()

    kit.until(lambda seen: not seen.releases and seen.stable is None)

    assert not kit.servers()
    assert post(kit, "/invocations", data=b"x")[0] == 503


def test_rolling_back_to_the_release_that_stands_by_starts_nothing(kit: EndpointKit) -> None:
    kit.serve(NEW, standby=OLD)
    before = kit.servers()[OLD].pid

    kit.want(OLD)

    kit.until(lambda seen: seen.stable == OLD and seen.ready)
    assert kit.servers()[OLD].pid == before


# ---- kills


def test_a_killed_server_fails_no_request_and_is_started_again(kit: EndpointKit) -> None:
    kit.serve(OLD)
    killed = kit.servers()[OLD]

    def kill() -> None:
        time.sleep(0.4)
        killed.kill()
        killed.wait()
        kit.until(lambda seen: seen.ready and OLD in kit.servers())
        time.sleep(0.3)

    traffic = load(kit.local.url, rate_per_s=100, during=kill)

    assert traffic.all_answered, traffic.codes
    assert kit.servers()[OLD].pid != killed.pid


def test_a_server_that_somebody_else_tells_to_end_fails_no_request(kit: EndpointKit) -> None:
    kit.tell(OLD, draining=True)
    kit.serve(OLD, standby=NEW)

    traffic = load(kit.local.url, num=10)

    assert traffic.by == {NEW: 10}


def test_requests_under_way_at_a_killed_server_are_answered_by_the_release_that_stands_by(kit: EndpointKit) -> None:
    kit.tell(OLD, delay_s=0.3)
    kit.serve(OLD, standby=NEW)

    def kill() -> None:
        time.sleep(0.5)
        kit.servers()[OLD].kill()
        time.sleep(0.1)

    traffic = load(kit.local.url, rate_per_s=100, during=kill)

    assert traffic.all_answered, traffic.codes
    assert traffic.by[NEW] >= 20  # those that were under way
    assert max(traffic.latencies_s) < 2


def test_a_photograph_that_ends_servers_ends_two_and_no_more(kit: EndpointKit) -> None:
    for release in (OLD, NEW, "plants-3"):
        kit.tell(release, die=True)
    kit.serve(OLD, standby=NEW, canary="plants-3", share=0.01)
    before = {release: process.pid for release, process in kit.servers().items()}

    code, headers, _ = post(kit, "/invocations", data=b"x")

    assert (code, headers["Retry-After"]) == (503, "1")
    kit.until(lambda seen: seen.ready)
    assert sum(process.pid != before[release] for release, process in kit.servers().items()) <= 2


def test_a_killed_endpoint_leaves_nothing_behind_and_comes_back_as_wanted(kit: EndpointKit) -> None:
    kit.serve(OLD, canary=NEW, share=0.5, standby="plants-3")
    servers = list(kit.servers().values())
    running = kit.place.running()
    assert running is not None
    assert len(servers) == 3

    psutil.Process(running.pid).kill()
    psutil.wait_procs(servers, timeout=10)
    assert not kit.servers()
    kit.local.ensure()

    seen = kit.until(lambda seen: seen.ready)
    assert (seen.stable, seen.canary, seen.share, seen.standby) == (OLD, NEW, 0.5, "plants-3")
    assert len(kit.servers()) == 3
    assert not Path(running.sockets).exists()
    assert load(kit.local.url, num=20).all_answered


# ---- canaries


@pytest.mark.parametrize("orders", [{"status": 500}, {"status": 503}, {"status": 400}, {"status": 429}, {"die": True}])
def test_users_see_nothing_of_a_canary_that_fails_and_its_errors_are_counted(
    kit: EndpointKit, orders: dict[str, object]
) -> None:
    kit.tell(NEW, **orders)
    kit.serve(OLD, canary=NEW, share=0.5)

    traffic = load(kit.local.url, num=40)

    assert traffic.all_answered, traffic.codes
    assert set(traffic.by) == {OLD}
    seen = kit.local.observe().releases
    assert seen[NEW].errors == seen[NEW].requests >= 1
    assert seen[OLD].errors == 0


def test_a_canary_that_hangs_is_an_error_and_stable_answers_in_time(kit: EndpointKit) -> None:
    kit.tell(NEW, delay_s=60)
    kit.serve(OLD, canary=NEW, share=0.2)

    traffic = load(kit.local.url, num=50, rate_per_s=50)

    assert traffic.all_answered
    assert set(traffic.by) == {OLD}
    assert max(traffic.latencies_s) < 5
    seen = kit.local.observe().releases[NEW]
    assert seen.errors == seen.requests >= 10
    assert seen.latency_ms is not None
    assert seen.latency_ms.p50 >= 1000


def test_a_canary_that_answers_otherwise_does_not_agree(kit: EndpointKit) -> None:
    kit.serve(OLD, canary=NEW, share=0.1)
    load(kit.local.url, num=100)
    alike = kit.until(lambda seen: seen.releases[NEW].compared >= 20).releases[NEW]
    assert alike.agreed == alike.compared

    kit.tell(NEW, species="quercus-robur", reason="rolled_up")
    kit.want(OLD, canary=NEW, share=0.2)
    kit.until(lambda seen: seen.revision == 2)
    load(kit.local.url, num=100)

    other = kit.until(lambda seen: seen.releases[NEW].compared >= 20).releases
    assert other[NEW].agreed == 0
    assert other[NEW].unsure == other[NEW].requests > 20
    assert other[OLD].unsure == 0


def test_a_canary_of_which_only_the_shadow_is_wanted_answers_nobody(kit: EndpointKit) -> None:
    kit.tell(NEW, status=500)
    kit.serve(OLD, canary=NEW, share=0)

    traffic = load(kit.local.url, num=100)

    assert traffic.by == {OLD: 100}
    seen = kit.until(lambda seen: seen.releases[NEW].requests >= 15).releases[NEW]
    assert seen.errors == seen.requests


def test_a_share_holds_over_few_requests(kit: EndpointKit) -> None:
    kit.serve(OLD, canary=NEW, share=0.1)
    for _ in range(3):
        traffic = load(kit.local.url, num=50)
        assert 4 <= traffic.by[NEW] <= 6


def test_a_canary_that_nobody_watches_gets_nothing(kit: EndpointKit) -> None:
    kit.serve(OLD, canary=NEW, share=0.9, watched_until=time.time() - 1)

    assert load(kit.local.url, num=40).by == {OLD: 40}
    assert kit.num_asked(NEW) == 0


def test_a_canary_gets_nothing_from_the_moment_that_nobody_watches_it(kit: EndpointKit) -> None:
    until = time.time() + 4
    kit.serve(OLD, canary=NEW, share=0.5, watched_until=until)
    assert load(kit.local.url, num=20).by[NEW] > 0
    time.sleep(max(0.0, until - time.time()) + 0.1)

    assert load(kit.local.url, num=20).by == {OLD: 20}


def test_a_photograph_that_both_refuse_is_no_error_of_the_canary(kit: EndpointKit) -> None:
    for release in (OLD, NEW):
        kit.tell(release, status=415)
    kit.serve(OLD, canary=NEW, share=0.5)

    assert load(kit.local.url, num=20).codes == {415: 20}

    seen = kit.local.observe().releases
    assert (seen[NEW].errors, seen[OLD].errors) == (0, 0)
    assert seen[NEW].requests >= 9


# ---- one request


def test_a_pinned_request_is_answered_by_that_release_alone(kit: EndpointKit) -> None:
    kit.tell(NEW, status=500)
    kit.serve(OLD, standby=NEW)

    code, headers, _ = post(kit, "/invocations", data=b"x", headers={"X-Earthsnap-Release": NEW})
    assert (code, headers["X-Earthsnap-Release"]) == (500, NEW)
    code, _, body = post(kit, "/invocations", data=b"x", headers={"X-Earthsnap-Release": "plants-9"})
    assert code == 404
    assert b"plants-9 is not loaded here" in body


def test_feedback_goes_to_the_release_that_answered(kit: EndpointKit) -> None:
    kit.serve(OLD, standby=NEW)

    _, headers, _ = post(kit, "/v1/feedback", json={"request_id": f"{NEW}.17", "species_id": "rosa-canina"})
    assert headers["X-Earthsnap-Release"] == NEW
    _, headers, _ = post(kit, "/v1/feedback", json={"request_id": "plants-9.17", "species_id": "rosa-canina"})
    assert headers["X-Earthsnap-Release"] == OLD


def test_all_else_is_passed_on_to_stable(kit: EndpointKit) -> None:
    kit.serve(OLD)

    code, headers, body = request(kit, "GET", "/v1/info?x=%20y")

    assert (code, headers["X-Earthsnap-Release"], headers["Content-Type"]) == (200, OLD, "application/json")
    assert b'"path": "/v1/info"' in body
    assert kit.local.observe().releases[OLD].requests == 0


def test_a_body_that_is_too_large_is_refused(hasty: EndpointKit) -> None:
    hasty.serve(OLD)
    code, _, body = post(hasty, "/invocations", data=b"x" * 20_000)
    assert code == 413
    assert b"at most 0.01 MB" in body

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000  # without a length before it

    assert post(hasty, "/invocations", data=chunks())[0] == 413
    assert hasty.num_asked(OLD) == 0


def test_a_body_that_does_not_arrive_is_refused_in_time(hasty: EndpointKit) -> None:
    hasty.serve(OLD)
    host, _, port = hasty.local.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegun")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_takes_too_long_is_given_up_with_advice_when_to_come_back(hasty: EndpointKit) -> None:
    hasty.tell(OLD, delay_s=60)
    hasty.serve(OLD)

    code, headers, body = post(hasty, "/invocations", data=b"x")

    assert (code, headers["Retry-After"]) == (503, "1")
    assert b"too_slow" in body
    assert hasty.local.observe().releases[OLD].errors == 1


# ---- what it says of itself


def test_figures_begin_anew_with_every_wish(kit: EndpointKit) -> None:
    kit.serve(OLD)
    load(kit.local.url, num=10)
    assert kit.local.observe().releases[OLD].requests == 10

    kit.want(OLD)

    seen = kit.until(lambda seen: seen.revision == 2)
    assert seen.releases[OLD].requests == 0
    assert seen.releases[OLD].latency_ms is None
    assert seen.releases[OLD].memory_mb > 1


def test_metrics_tell_requests_by_release_and_code(kit: EndpointKit) -> None:
    kit.tell(NEW, status=500)
    kit.serve(OLD, canary=NEW, share=0.5)
    load(kit.local.url, num=20)

    said = request(kit, "GET", "/metrics")[2].decode()

    assert f'endpoint_requests_total{{code="200",how="user",release="{OLD}"}} 20.0' in said
    assert f'endpoint_retries_total{{release="{NEW}"}} 10.0' in said
    assert "endpoint_latency_seconds_bucket" in said


# ---- beginning and end


def test_an_endpoint_that_is_told_to_end_answers_first_what_it_has_begun(kit: EndpointKit) -> None:
    kit.tell(OLD, delay_s=1)
    kit.serve(OLD)
    front = psutil.Process(kit.pid)

    def end() -> None:
        time.sleep(0.4)
        front.send_signal(signal.SIGTERM)

    traffic = load(kit.local.url, rate_per_s=50, num=15, during=end)

    assert traffic.codes == {200: 15}
    front.wait(timeout=10)
    assert not kit.servers()
    assert not kit.place.is_held()
