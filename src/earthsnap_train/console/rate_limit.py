"""How often somebody may fail to sign in."""

import math
import threading
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
MOST_OF_ONE_ADDRESS = 5
MOST_OF_ALL = 30


class Attempts:
    """Sign-ins of the last minute that were refused. An attempt counts before it is judged, so that none slips by at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: deque[tuple[float, str]] = deque()  # never longer than MOST_OF_ALL

    def begin(self, address: str) -> int:
        """Counts an attempt and gives 0, or the seconds after which the next one will be heard."""
        with self._lock:
            now = self._clock()
            while self._made and self._made[0][0] <= now - WINDOW_S:
                self._made.popleft()
            own = [at for at, of in self._made if of == address]
            for made, most in ((own, MOST_OF_ONE_ADDRESS), ([at for at, _ in self._made], MOST_OF_ALL)):
                if len(made) >= most:
                    return max(1, math.ceil(made[0] + WINDOW_S - now))
            self._made.append((now, address))
            return 0

    def succeeded(self, address: str) -> None:
        """The newest attempt of this address was no failure."""
        with self._lock:
            for place in range(len(self._made) - 1, -1, -1):
                if self._made[place][1] == address:
                    del self._made[place]
                    return
