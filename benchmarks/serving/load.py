"""Open-loop load: requests leave at their appointed times whether or not earlier ones were answered.

Latency counts from the appointed time, so that a server that stalls is charged for everyone who had to wait
(Tene, "How NOT to Measure Latency"; Schroeder et al. 2006, NSDI, on open against closed systems).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np


@dataclass(kw_only=True)
class Outcome:
    """``latency_s``: of the requests that were answered with 200, in order of their appointed times."""

    rate: float
    sent: int = 0
    latency_s: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.sent - len(self.latency_s)

    def quantile_ms(self, share: float) -> float:
        return float(1000 * np.quantile(self.latency_s, share)) if self.latency_s else float("inf")


async def send(
    url: str,
    bodies: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    content_type: str = "image/jpeg",
    timeout_s: float = 10,
) -> Outcome:
    """``rate`` requests a second, evenly spaced, for ``seconds``; the bodies in turn."""
    outcome = Outcome(rate=rate)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s)) as session:

        async def one(body: bytes, due: float) -> None:
            try:
                async with session.post(url, data=body, headers={"Content-Type": content_type}) as response:
                    await response.read()
                    code = str(response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                code = type(error).__name__
            outcome.codes[code] += 1
            if code == "200":
                outcome.latency_s.append(time.perf_counter() - due)

        begin = time.perf_counter()
        tasks = []
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            outcome.sent += 1
            tasks.append(asyncio.create_task(one(bodies[number % len(bodies)], due)))
        await asyncio.gather(*tasks)
    return outcome


async def highest_rate(
    url: str, bodies: Sequence[bytes], *, p99_ms: float, start: float, seconds: float = 6
) -> Outcome:
    """The highest rate at which everything was answered and p99 stayed below ``p99_ms``: in strides, then in small steps."""
    best, rate, stride = Outcome(rate=0), start, 1.4
    while True:
        outcome = await send(url, bodies, rate=rate, seconds=seconds)
        good = outcome.failed == 0 and outcome.quantile_ms(0.99) <= p99_ms
        print(
            f"    {rate:6.0f}/s  p50 {outcome.quantile_ms(0.5):6.1f} ms  p99 {outcome.quantile_ms(0.99):7.1f} ms"
            f"  failed {outcome.failed}",
            flush=True,
        )
        await asyncio.sleep(1)
        if good:
            best = outcome
        elif stride < 1.1:
            return best
        else:
            stride = 1.06
        rate = (best.rate or start / 1.4) * stride
        if not good and best.rate == 0:
            start /= 1.4
