"""People are told of each release what they have to know, at least once, whatever becomes of a receiver."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.messages import Console, File, Message, Messenger, Webhook, messengers, send_pending
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import Messages
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND, make_release


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """One release is live, a second was sent back."""
    registry = Registry(tmp_path / "registry")
    deployments = Deployments(registry.ledger)
    make_release(registry, seed=1)
    deployments.go_live(deployments.begin(FAMILY, 1, origin="test"), standby=True, origin="test")
    registry.attach_report(make_release(registry, seed=2), "<html></html>")
    rollout = deployments.begin(FAMILY, 2, origin="test")
    deployments.fail(rollout, "errors: 20 of 20", origin="test", outcome="rolled back")
    return registry


class Ear:
    """A receiver that is dead for a while."""

    name = "ear"

    def __init__(self, *, deaf_for: int = 0) -> None:
        self.heard: list[Message] = []
        self.deaf_for = deaf_for

    def tell(self, message: Message) -> None:
        if self.deaf_for > 0:
            self.deaf_for -= 1
            raise OSError("nobody there")
        self.heard.append(message)

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(message.event, message.release) for message in self.heard]


def test_what_happens_is_told_once_and_in_order(tmp_path: Path) -> None:
    registry, ear = Registry(tmp_path / "registry"), Ear()
    deployments = Deployments(registry.ledger)
    make_release(registry, seed=1, approved=False)
    send_pending(registry, [ear])
    registry.approve(FIRST, why="", origin="test")
    rollout = deployments.begin(FAMILY, 1, origin="test")
    deployments.advance(rollout, "waiting", said="waiting", origin="test")
    send_pending(registry, [ear])
    deployments.go_live(rollout.model_copy(update={"phase": "waiting"}), standby=True, origin="test")
    make_release(registry, seed=2)
    deployments.fail(deployments.begin(FAMILY, 2, origin="test"), "golden answers: 3 of 8", origin="test")
    send_pending(registry, [ear])
    send_pending(registry, [ear])

    assert ear.events == [
        ("awaiting approval", FIRST), ("awaiting promotion", FIRST), ("live", FIRST), ("awaiting approval", SECOND),
        ("failed", SECOND),
    ]  # fmt: skip
    assert ear.heard[0].text == f"{FIRST} waits for approval (99.0 % named right): earthsnap approve release={FIRST}"
    assert ear.heard[-1].text == f"{SECOND} did not go live: golden answers: 3 of 8"


def test_a_rollback_says_what_answers_instead(registry: Registry) -> None:
    deployments, ear = Deployments(registry.ledger), Ear()
    deployments.go_live(deployments.begin(FAMILY, 2, origin="test"), standby=True, origin="test")
    send_pending(registry, [ear])
    deployments.roll_back(FAMILY, 2, why="looks odd", origin="test", who="anna")
    send_pending(registry, [ear])
    assert ear.heard[-1].text == f"{SECOND} was rolled back, {FIRST} answers again: looks odd"
    assert (ear.heard[-1].who, ear.heard[-1].report) == (
        "anna",
        str(registry.get(SECOND).path / "report/report.html"),
    )


def test_what_gates_rejected_is_told_as_well(tmp_path: Path) -> None:
    registry, ear = Registry(tmp_path / "registry"), Ear()
    (tmp_path / "bundle").mkdir()
    registry.register(FAMILY, "a", tmp_path / "bundle", reasons=["top1 is only 0.2"], summary={}, lineage={})
    send_pending(registry, [ear])
    assert ear.heard[0].text == f"{FIRST} was rejected by its gates: top1 is only 0.2"


def test_a_new_receiver_hears_of_each_family_the_last_alone(registry: Registry) -> None:
    make_release(registry, family="birds", seed=1, approved=False)
    ear = Ear()
    send_pending(registry, [ear])
    assert ear.events == [("rolled back", SECOND), ("awaiting approval", "birds-1")]
    make_release(registry, seed=3, approved=False)
    send_pending(registry, [ear])
    assert ear.events[2:] == [("awaiting approval", "plants-3")]


def test_a_dead_receiver_loses_nothing_and_keeps_nobody_from_hearing(registry: Registry) -> None:
    dead, alive = Ear(deaf_for=2), Ear()
    alive.name = "other"
    make_release(registry, family="birds", seed=1, approved=False)
    for expected in ([f"{SECOND} was rolled back: errors: 20 of 20: nobody there"],) * 2 + ([],):
        assert send_pending(registry, [dead, alive]) == expected
    assert dead.events == alive.events == [("rolled back", SECOND), ("awaiting approval", "birds-1")]


def test_nothing_is_said_of_a_registry_that_is_not_there(tmp_path: Path) -> None:
    assert send_pending(Registry(tmp_path / "registry"), [Ear()]) == []
    assert not (tmp_path / "registry").exists()


def test_two_senders_at_once_tell_nothing_twice(registry: Registry) -> None:
    ear = Ear()
    senders = [threading.Thread(target=send_pending, args=(registry, [ear])) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert ear.events == [("rolled back", SECOND)]


# ---- the receivers


def test_a_file_gets_a_line_of_json_each_and_a_console_a_sentence(registry: Registry, tmp_path: Path) -> None:
    said: list[str] = []
    declared = Messages(console=True, file=str(tmp_path / "told" / "messages.jsonl"), webhook=None)
    assert send_pending(registry, messengers(declared, said.append)) == []
    [line] = (tmp_path / "told" / "messages.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "rolled back"
    assert Message.model_validate_json(line).release == SECOND
    assert said[0].endswith(f"  {SECOND} was rolled back: errors: 20 of 20")
    assert [type(one) for one in messengers(declared, None)] == [File]
    assert [type(one) for one in messengers(Messages(console=True, file=None, webhook=None), print)] == [Console]


@contextmanager
def receiver(*codes: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answers with these codes in turn, then with 200."""
    got: list[dict[str, Any]] = []
    left = list(codes)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/very-secret", got
    finally:
        server.shutdown()
        server.server_close()


def webhook(address: str) -> Messenger:
    return Webhook(address, pauses_s=(0, 0, 0))


def test_a_webhook_gets_a_post_of_json_and_is_asked_again_where_it_was_not_able(registry: Registry) -> None:
    with receiver(503, 429) as (address, got):
        assert send_pending(registry, [webhook(address)]) == []
        assert [message["event"] for message in got] == ["rolled back"] * 3
        assert len({message["id"] for message in got}) == 1


@pytest.mark.parametrize(("code", "asked"), [(404, 1), (302, 1), (500, 3)])
def test_what_a_webhook_refuses_waits_and_its_address_is_shown_to_nobody(
    registry: Registry, code: int, asked: int
) -> None:
    with receiver(*[code] * asked) as (address, got):
        problems = send_pending(registry, [webhook(address)])
        assert problems == [
            f"{SECOND} was rolled back: errors: 20 of 20: the webhook at 127.0.0.1 did not take it: status {code}"
        ]
        assert len(got) == asked
        assert send_pending(registry, [webhook(address)]) == []
        assert len(got) == asked + 1


def test_a_webhook_that_is_not_there_is_no_error_of_ours(registry: Registry) -> None:
    [problem] = send_pending(registry, [webhook("http://127.0.0.1:1/very-secret")])
    assert "ConnectionRefusedError" in problem
    assert "secret" not in problem


def test_a_declaration_shows_no_address_where_it_is_written_down() -> None:
    declared = Messages.model_validate({"console": False, "file": None, "webhook": "https://a.example/very-secret"})
    for text in (declared.model_dump_json(), str(declared), str(declared.model_dump(mode="json"))):
        assert "secret" not in text.replace("SecretStr", "")
    assert [type(one) for one in messengers(declared, None)] == [Webhook]
    with pytest.raises(ValueError, match="an address begins with http"):
        Messages.model_validate({"console": False, "file": None, "webhook": "file:///etc/passwd"})
