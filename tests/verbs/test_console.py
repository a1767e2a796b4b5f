"""``earthsnap console``: where it listens, and how its own person gets in."""

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Said, environment, program
from tests.console.conftest import Browser


@contextmanager
def started(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        program("console", "port=0", *options), cwd=folder, env=environment(PYTHONUNBUFFERED="1"), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_link_that_it_prints_signs_in_and_it_ends_when_told(tmp_path: Path, ending: signal.Signals) -> None:
    with started(tmp_path) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/sign-in\?once=\S+)", process.stdout.readline())
        assert found is not None
        browser = Browser(port=int(found[1]))
        assert browser.get(found[2]).status == 303
        assert "approver" in browser.get("/").words

        process.send_signal(ending)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert err == ""


def test_where_others_reach_it_nobody_gets_a_link_and_tls_is_asked_for(tmp_path: Path) -> None:
    with started(tmp_path, "host=0.0.0.0") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]

    assert re.match(r"console  http://0\.0\.0\.0:\d+$", lines[0])
    assert "put TLS in front of it" in lines[1]
    assert "once=" not in "".join(lines)


def test_a_port_that_is_taken_is_said_to_be(earthsnap: Callable[..., Said]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = earthsnap("console", f"port={taken.getsockname()[1]}")

    assert said.code == 3
    assert "cannot listen at 127.0.0.1:" in said.err
    assert "port=0 takes any that is free" in said.err
