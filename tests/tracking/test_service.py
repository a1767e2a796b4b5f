"""Whether there is a key, where the service is, and how long anybody waits for it."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from earthsnap_train.tracking.service import PROBE_TIMEOUT_S, answers, key_is_there, service_url


def test_a_key_is_found_in_the_environment_and_in_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not key_is_there()
    login = tmp_path / "netrc"
    login.write_text("machine example.org\n  login user\n  password x\n")
    login.chmod(0o600)
    assert not key_is_there()
    monkeypatch.setenv("WANDB_BASE_URL", "https://example.org")
    assert key_is_there()
    monkeypatch.delenv("WANDB_BASE_URL")
    login.write_text("machine api.wandb.ai\n  login user\n  password x\n")
    assert key_is_there()
    login.unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert key_is_there()


def test_a_service_of_ones_own_is_found_where_the_login_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service_url() == "https://api.wandb.ai"
    settings = tmp_path / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = https://wandb.example.org/\n")
    assert service_url() == "https://wandb.example.org"
    monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:8080")
    assert service_url() == "http://localhost:8080"


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(401)

    def log_message(self, *_: object) -> None: ...


def test_a_refusal_is_an_answer() -> None:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.handle_request, daemon=True).start()

    assert answers(f"http://127.0.0.1:{server.server_port}")
    server.server_close()


def test_bytes_that_trickle_are_no_answer() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        over = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                while not over.wait(0.2):
                    connection.sendall(b"H")

        threading.Thread(target=trickle, daemon=True).start()
        began = time.monotonic()
        said = answers(f"http://127.0.0.1:{server.getsockname()[1]}")
        took = time.monotonic() - began
        over.set()
    assert not said
    assert took < PROBE_TIMEOUT_S + 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://nowhere.invalid"])
def test_nobody_is_no_answer(url: str) -> None:
    assert not answers(url)
