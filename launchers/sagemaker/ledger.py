"""The ledger as one object: the same SQLite database, read into memory, and put back whole by who holds its lock.

The lock keeps writers from each other. What makes it safe is that the object is put back only over the very version that was
read (``If-Match``): a writer whose lock ran out meanwhile changes nothing. In a versioned bucket every state that ever was
can be read again.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.ledger import BUSY_TIMEOUT_S, Ledger, bring_up_to_date, is_up_to_date, transaction
from earthsnap_train.release.locks import Held, Locks
from launchers.sagemaker.bucket import Bucket, Found

FRESH_S = 1.0  # what was read is not asked for again so soon; a transaction always asks
LOCK = "ledger.lock"


class BucketLedger(Ledger):
    def __init__(self, bucket: Bucket, key: str, locks: Locks) -> None:
        self._bucket = bucket
        self._key = key
        self._locks = locks
        self._found: Found | None = None
        self._asked = float("-inf")
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Raises EnvironmentProblem where others wrote for a long time, and where this one took too long itself."""
        with self._one_at_a_time, self._locked():
            found = self._ask()
            with closing(_opened(found)) as connection:
                bring_up_to_date(connection, self._key)
                with transaction(connection):
                    yield connection
                content = connection.serialize()
            put = self._bucket.put(self._key, content, over=found) or self._ask()
            if put is None or put.content != content:  # else an answer was lost, and the request then made again
                raise EnvironmentProblem(
                    "this took so long that somebody else wrote meanwhile",
                    where=self._key,
                    remedy="earthsnap history shows whether it was done; if not, the same again",
                )
            self._found, self._asked = put, time.monotonic()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        found = self._found if time.monotonic() - self._asked < FRESH_S else self._ask()
        if found is None:
            return []
        with closing(_opened(found)) as connection:
            if not is_up_to_date(connection, self._key):
                bring_up_to_date(connection, self._key)  # for this reader; the next who writes keeps it
            return connection.execute(query, values).fetchall()

    def _ask(self) -> Found | None:
        before = self._found
        found = self._bucket.fetch(self._key, known=before)
        if self._found is before:  # else another thread wrote meanwhile, and knows better
            self._found, self._asked = found, time.monotonic()
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        held = ExitStack()
        try:
            held.enter_context(self._locks.hold(LOCK, timeout_s=BUSY_TIMEOUT_S))
        except Held:
            raise EnvironmentProblem(
                f"others have written to the registry for {BUSY_TIMEOUT_S} s", where=self._key, remedy="the same again"
            ) from None
        with held:
            yield


def _opened(found: Found | None) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if found is not None:
        connection.deserialize(found.content)
    return connection
