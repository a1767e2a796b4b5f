"""Locks that several machines share: an object for each, written over only by who has seen its last state.

Whoever holds one says so again every few seconds. A holder that died, or whose machine sleeps, says nothing more, and after
``EXPIRES_S`` by the bucket's clock another one takes the lock. The one that sleeps may wake up and go on, so what a lock
guards must hold without it: the ledger is put back only over the version that was read, and a rollout is moved on only from
where it stands.
"""

import json
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.release.locks import Held
from launchers.sagemaker.bucket import Bucket, Found

EXPIRES_S = 30.0
SAY_AGAIN_S = 10.0
_PAUSE_S = (0.05, 0.25)


class BucketLocks:
    def __init__(
        self, bucket: Bucket, prefix: str, *, say_again_s: float = SAY_AGAIN_S, expires_s: float = EXPIRES_S
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._say_again_s = say_again_s
        self._expires_s = expires_s

    @contextmanager
    def hold(self, name: str, *, timeout_s: float) -> Iterator[None]:
        key, held = f"{self._prefix}/{name}", _said(f"process {os.getpid()} of {socket.gethostname()}")
        deadline = time.monotonic() + timeout_s
        while not self._take(key, held):
            if time.monotonic() >= deadline:
                raise Held(name)
            time.sleep(random.uniform(*_PAUSE_S))
        ended = threading.Event()
        beat = threading.Thread(target=self._go_on_holding, args=(key, held, ended), daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            beat.join()
            with suppress(EarthsnapError):  # what was guarded is done, and the lock runs out by itself
                self._write(key, held, _said(None))

    def is_held(self, name: str) -> bool:
        found = self._bucket.fetch(f"{self._prefix}/{name}")
        return found is not None and not self._is_free(found)

    def _take(self, key: str, held: bytes) -> bool:
        found = self._bucket.fetch(key)
        if found is not None and found.content == held:
            return True  # an answer was lost on its way, and the request then made again
        return (found is None or self._is_free(found)) and self._bucket.put(key, held, over=found) is not None

    def _is_free(self, found: Found) -> bool:
        return found.age_s > self._expires_s or json.loads(found.content)["holder"] is None

    def _go_on_holding(self, key: str, held: bytes, ended: threading.Event) -> None:
        while not ended.wait(self._say_again_s):
            try:
                if not self._write(key, held, held):
                    return
            except EarthsnapError:  # it is tried again; whether the network comes back in time, others decide
                continue

    def _write(self, key: str, held: bytes, content: bytes) -> bool:
        """False where the lock is another's by now."""
        found = self._bucket.fetch(key)
        return found is not None and found.content == held and self._bucket.put(key, content, over=found) is not None


def _said(holder: str | None) -> bytes:
    """No two are equal, so that nobody takes another's lock for their own."""
    return json.dumps({"holder": holder, "id": uuid.uuid4().hex}).encode()
