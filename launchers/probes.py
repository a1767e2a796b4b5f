"""Golden photographs sent to a canary while it is watched: its answers are checked, and there is something to compare
where users are few."""

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from earthsnap_train.release.golden import Photograph, difference
from earthsnap_train.release.transport import RELEASE_HEADER

PROBE_TIMEOUT_S = 15.0
AT_ONCE = 2
_DIRECT = build_opener(ProxyHandler({}))


class Probes:
    """``wrong``: the first answer that was not the golden one, in words. ``url``: of the endpoint."""

    def __init__(self, url: str, *, canary: str, stable: str, golden: Sequence[Photograph]) -> None:
        self.wrong: str | None = None
        self.num = 0
        self._url = url
        self._canary = canary
        self._stable = stable
        self._golden = golden
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="probe")
        self._under_way: set[Future[None]] = set()
        self._lock = threading.Lock()

    def send(self, most: int) -> None:
        """Up to so many more, a few at once."""
        self._under_way = {future for future in self._under_way if not future.done()}
        for _ in range(min(most, AT_ONCE - len(self._under_way))):
            photograph = self._golden[self.num % len(self._golden)]
            self.num += 1
            self._under_way.add(self._pool.submit(self._probe, photograph))

    def __enter__(self) -> "Probes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for the answers

    def _probe(self, photograph: Photograph) -> None:
        status, said = self._ask(self._canary, photograph)
        if status == 200:
            self._found(difference(photograph, said))
            return
        code = said.get("error", {}).get("code") if isinstance(said.get("error"), dict) else None
        if 400 <= status < 500 and status != 429 and code != "not_loaded":
            self._found(f"golden photograph {photograph.name}: refused with status {status} ({code})")
        elif code != "not_loaded":
            # The endpoint lets stable see what the canary answered; what it failed to answer stable sees here, so that
            # errors too are compared on the same photographs.
            self._ask(self._stable, photograph)

    def _found(self, wrong: str | None) -> None:
        with self._lock:
            self.wrong = self.wrong or wrong

    def _ask(self, release: str, photograph: Photograph) -> tuple[int, Mapping[str, Any]]:
        """(status, JSON); status 0 where the endpoint did not answer, which is no fault of a release."""
        headers = {RELEASE_HEADER: release, "Content-Type": "application/octet-stream"}
        request = Request(f"{self._url}/v1/identify", photograph.data, headers, method="POST")  # noqa: S310
        try:
            with _DIRECT.open(request, timeout=PROBE_TIMEOUT_S) as response:
                return response.status, _object(response.read())
        except HTTPError as error:
            return error.code, _object(error.read())
        except OSError:
            return 0, {"error": {"code": "not_loaded"}}


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
