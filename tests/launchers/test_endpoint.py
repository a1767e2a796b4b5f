"""An endpoint of this machine is started once, in the background, and says why where it cannot be."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from earthsnap_train.errors import EnvironmentProblem
from launchers.endpoint import LocalEndpoint
from tests.conftest import declare
from tests.serving.endpoint_kit import FAMILY, NEW, OLD, EndpointKit, free_port, load, running_endpoint


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[EndpointKit]:
    with running_endpoint(EndpointKit(tmp_path)) as kit:
        yield kit


def test_it_is_observed_before_any_release_is_wanted_and_serves_what_then_is(kit: EndpointKit) -> None:
    kit.start()

    seen = kit.local.observe()
    assert (seen.family, seen.endpoint, seen.revision, seen.stable, seen.ready) == (FAMILY, "prod", 0, None, False)

    kit.want(OLD)
    assert kit.until(lambda seen: seen.ready).stable == OLD


def test_those_who_start_it_at_once_start_it_once(kit: EndpointKit) -> None:
    kit.want(OLD)
    with ThreadPoolExecutor(3) as people:
        for done in [people.submit(kit.start) for _ in range(3)]:
            done.result()

    first = kit.pid
    kit.start()
    assert kit.pid == first
    kit.until(lambda seen: seen.ready)
    assert len(kit.servers()) == 1
    assert kit.log.count("runs already, as process") == kit.log.count("error: ")
    kit.local.stop()
    time.sleep(1)
    assert not kit.place.is_held()  # none of the slower ones took its place


def test_it_is_started_anew_while_the_one_before_still_answers_its_last_request(kit: EndpointKit) -> None:
    kit.tell(OLD, delay_s=1.5)
    kit.serve(OLD)
    first = psutil.Process(kit.pid)

    def replace() -> None:
        time.sleep(0.3)
        first.terminate()
        kit.until_silent()
        kit.start()

    traffic = load(kit.local.url, num=1, during=replace)

    assert traffic.all_answered
    assert kit.pid != first.pid
    kit.until(lambda seen: seen.ready)


def test_it_is_in_a_session_of_its_own_so_that_it_outlives_whoever_started_it(kit: EndpointKit) -> None:
    kit.want(OLD)
    kit.start()
    assert os.getsid(kit.pid) == kit.pid


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        kit = EndpointKit(tmp_path, port=port)
        with pytest.raises(EnvironmentProblem, match=f"port {port} of 127.0.0.1 is taken") as raised:
            kit.start()
    assert "two families on one machine need endpoints at ports of their own" in str(raised.value)
    assert not kit.place.is_held()


def test_a_second_one_in_the_foreground_is_refused(kit: EndpointKit) -> None:
    kit.want(OLD)
    kit.start()

    said = subprocess.run(kit.command, capture_output=True, text=True, timeout=60, check=False)

    assert said.returncode == 1
    assert f"the endpoint prod of plants runs already, as process {kit.pid} at {kit.local.url}" in said.stderr
    assert "earthsnap stop endpoint=prod family=plants" in said.stderr


def test_one_that_runs_at_another_address_is_told_with_both(kit: EndpointKit) -> None:
    kit.want(OLD)
    kit.start()
    elsewhere = declare("status", f"paths.registry={kit.registry}", f"deployment.prod.port={free_port()}")
    with pytest.raises(EnvironmentProblem, match=f"runs at {kit.local.url}, not at http://127"):
        LocalEndpoint(elsewhere, FAMILY, "prod").ensure()


def test_the_endpoint_of_another_family_is_not_mistaken_for_it(kit: EndpointKit) -> None:
    kit.want(OLD)
    kit.start()
    with pytest.raises(EnvironmentProblem, match="is the endpoint prod of plants"):
        LocalEndpoint(kit.spec, "birds", "prod").observe()


def test_one_that_does_not_run_cannot_be_observed_and_the_message_says_how_to_start_it(kit: EndpointKit) -> None:
    with pytest.raises(EnvironmentProblem, match="does not answer at http") as raised:
        kit.local.observe()
    assert "earthsnap serve endpoint=prod family=plants" in str(raised.value)


def test_stopping_ends_it_with_its_servers_and_stopping_again_changes_nothing(kit: EndpointKit) -> None:
    kit.serve(OLD, standby=NEW)
    running = kit.place.running()
    assert running is not None

    assert kit.local.stop()

    assert not kit.servers()
    assert kit.place.running() is None
    assert not Path(running.sockets).exists()
    assert not kit.local.stop()


def test_one_that_is_told_to_end_while_it_starts_leaves_nothing_either(kit: EndpointKit) -> None:
    kit.want(OLD)
    process = subprocess.Popen(kit.command)
    while (running := kit.place.running()) is None:
        time.sleep(0.001)
    process.terminate()

    assert process.wait(timeout=60) == 0
    assert not Path(running.sockets).exists()


def test_a_command_that_fails_is_told_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    kit = EndpointKit(tmp_path)
    command = ["sh", "-c", "echo one; echo the disk is on fire >&2; exit 3"]
    began = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="the disk is on fire"):
        LocalEndpoint(kit.spec, FAMILY, "prod", command=command).ensure()
    assert time.monotonic() - began < 30
