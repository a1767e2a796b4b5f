"""Tells people what became of a release: on a console, into a file, to a webhook.

The audit log is the outbox, and each channel has a place in it up to which it was told. A message that was not taken is
told again, so a receiver may hear it twice (its ``id`` is the same then); none is lost, and no receiver stops anything.
"""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from earthsnap_train import __version__
from earthsnap_train.release.ledger import Entry, Ledger, local_time
from earthsnap_train.release.locks import Held
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.deployment import Messages

Event = Literal["awaiting approval", "awaiting promotion", "live", "failed", "rolled back"]

WEBHOOK_TIMEOUT_S = 5.0
WEBHOOK_PAUSES_S = (0.0, 0.5, 2.0)  # before each time that it is tried; later messages try again
SENDER_TIMEOUT_S = 10.0  # another process may be telling


class Message(BaseModel):
    """``id``: of the line in the audit log, equal whenever the same is told again. ``text`` says it all in a sentence."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: float
    event: Event
    release: str
    family: str
    who: str
    why: str
    report: str | None
    text: str


class Messenger(Protocol):
    """The port. ``name`` keeps its place in the log."""

    name: str

    def tell(self, message: Message) -> None:
        """Raises OSError where nobody took it; what that says may be shown to anybody."""


class Console:
    """To whoever looks on."""

    name = "console"

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def tell(self, message: Message) -> None:
        self._say(f"{local_time(message.at)}  {message.text}")


class File:
    """A JSON line each."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, message: Message) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{message.model_dump_json()}\n")


class Webhook:
    """A POST of JSON each. The address is a secret often enough: only its host is ever named, and no redirect is followed."""

    name = "webhook"

    def __init__(self, address: str, *, pauses_s: Sequence[float] = WEBHOOK_PAUSES_S) -> None:
        self._address = address
        self._pauses_s = pauses_s
        self._opener = urllib.request.build_opener(_NoRedirect())

    def tell(self, message: Message) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"earthsnap_train/{__version__}"}
        request = urllib.request.Request(  # noqa: S310
            self._address, message.model_dump_json().encode(), headers, method="POST"
        )
        said = ""
        for pause_s in self._pauses_s:
            time.sleep(pause_s)
            try:
                with self._opener.open(request, timeout=WEBHOOK_TIMEOUT_S):
                    return
            except urllib.error.HTTPError as error:
                said = f"status {error.code}"
                if error.code < 500 and error.code not in (408, 429):
                    break  # asked again, it says the same
            except (OSError, ValueError) as error:
                said = type(getattr(error, "reason", error)).__name__
        raise OSError(f"the webhook at {urlsplit(self._address).hostname} did not take it: {said}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def messengers(messages: Messages, say: Callable[[str], None] | None) -> list[Messenger]:
    """Those that are declared. ``say``: prints a line; None: nobody looks on."""
    found: list[Messenger] = []
    if messages.console and say is not None:
        found.append(Console(say))
    if messages.file is not None:
        found.append(File(Path(messages.file)))
    if messages.webhook is not None:
        found.append(Webhook(messages.webhook.get_secret_value()))
    return found


def send_pending(registry: Registry, receivers: Sequence[Messenger]) -> list[str]:
    """Tells each of them what it has not heard; what went wrong, a line each. Never raises for a receiver's sake.

    One that was never told anything before hears of each family the last that happened, not of years.
    """
    if not any(_unheard(registry.ledger, one)[1] for one in receivers):
        return []
    try:
        with registry.locks.hold("messages.lock", timeout_s=SENDER_TIMEOUT_S):
            return [problem for one in receivers if (problem := _send(registry, one)) is not None]
    except Held:
        return []  # whoever holds it tells them, now or next time


def _unheard(ledger: Ledger, receiver: Messenger) -> tuple[bool, list[Entry]]:
    """(whether it was ever told anything, what it was not told of)"""
    rows = ledger.rows("SELECT audit_id FROM cursors WHERE name = ?", [_place(receiver)])
    return bool(rows), ledger.history(after=int(str(rows[0][0])) if rows else 0)


def _place(receiver: Messenger) -> str:
    return f"messages/{receiver.name}"


def _send(registry: Registry, receiver: Messenger) -> str | None:
    ledger, name = registry.ledger, _place(receiver)
    is_known, entries = _unheard(ledger, receiver)
    found = [(entry.id, message_of(entry, registry)) for entry in entries]
    if not is_known:
        last = {message.family: message for _, message in found if message is not None}
        found = [(id_, message if message in last.values() else None) for id_, message in found]
    for id_, message in found:
        if message is not None:
            try:
                receiver.tell(message)
            except OSError as error:
                return f"{message.text}: {error}"
            _heard(ledger, name, id_)
    if found:
        _heard(ledger, name, found[-1][0])
    return None


def _heard(ledger: Ledger, name: str, id_: int) -> None:
    with ledger.writing() as connection:
        connection.execute(
            "INSERT INTO cursors VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET audit_id = ?2", [name, id_]
        )


def message_of(entry: Entry, registry: Registry) -> Message | None:
    """None where nobody needs to be told."""
    event = _event(entry)
    if event is None:
        return None
    release = registry.get(entry.release)
    report = release.path / "report" / "report.html"
    return Message(
        id=entry.id, at=entry.at, event=event, release=release.name, family=release.family, who=entry.who, why=entry.why,
        report=str(report.resolve()) if report.is_file() else None, text=_text(event, entry, release),
    )  # fmt: skip


def _event(entry: Entry) -> Event | None:
    if entry.action == "registered":
        return "failed" if entry.figures.get("state") == "Rejected" else "awaiting approval"
    events: dict[str, Event] = {
        "waiting": "awaiting promotion", "live": "live", "failed": "failed", "rolled back": "rolled back"
    }  # fmt: skip
    return events.get(entry.action)


def _text(event: Event, entry: Entry, release: Release) -> str:
    because = f": {entry.why}" if entry.why else ""
    if event == "awaiting approval":
        right = f" ({100 * release.summary['top1']:.1f} % named right)" if "top1" in release.summary else ""
        return f"{release.name} waits for approval{right}: earthsnap approve release={release.name}"
    if event == "awaiting promotion":
        return f"{release.name} passed its tests and waits in stage: earthsnap promote release={release.name}"
    if event == "live":
        return f"{release.name} is live"
    if event == "rolled back":
        champion = entry.figures.get("champion")
        instead = f", {release.family}-{champion} answers again" if champion is not None else ""
        return f"{release.name} was rolled back{instead}{because}"
    return (
        f"{release.name} {'was rejected by its gates' if entry.action == 'registered' else 'did not go live'}{because}"
    )
