"""What was answered and what people said of it, a JSON object a line, a file for each day. No photograph is kept.

Several processes may append to one file: what each writes is whole lines, in one write to a file opened for appending.
"""

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

_MAX_PENDING = 10_000
_WRITE_EVERY_S = 0.1  # many lines with one write; a server that is killed loses this much
Kind = Literal["answers", "feedback"]


class Journal:
    """Written by a thread of its own, so that a slow disk slows no answer; what it cannot write is counted in ``num_lost``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: deque[tuple[Kind, Mapping[str, object]]] = deque()
        self._closing = threading.Event()
        self.num_lost = 0
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def add(self, kind: Kind, entry: Mapping[str, object]) -> None:
        if len(self._pending) >= _MAX_PENDING:
            self.num_lost += 1
        else:
            self._pending.append((kind, {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}))

    def close(self) -> None:
        """Writes what is pending."""
        self._closing.set()
        self._thread.join()

    def _write_all(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(_WRITE_EVERY_S)
            lines: dict[str, list[str]] = {}
            while self._pending:
                kind, entry = self._pending.popleft()
                line = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
                lines.setdefault(f"{kind}-{str(entry['at'])[:10]}.jsonl", []).append(f"{line}\n")
            for name, those in lines.items():
                self._write(name, those)

    def _write(self, name: str, lines: list[str]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(file, "".join(lines).encode())
            finally:
                os.close(file)
        except OSError as error:  # a full disk must not end a server
            if self.num_lost == 0:
                logging.getLogger(__name__).error("the journal cannot be written: %s", error)
            self.num_lost += len(lines)
