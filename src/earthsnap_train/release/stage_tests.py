"""The tests that a release passes in stage, as its users will meet it: over HTTP, or whatever leads to the endpoint."""

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import bdtr

from earthsnap_train.models.family import Family
from earthsnap_train.release.golden import Photograph, difference, named, read_golden
from earthsnap_train.release.registry import Release
from earthsnap_train.release.transport import NoAnswer, Reply, Transport
from earthsnap_train.serving.runtimes import Precision
from earthsnap_train.spec.rollout import StageTests

# Golden photographs are taken from each group alike, so their accuracy lies between the two ways to take the mean, or
# outside by chance: once in a thousand releases on either side.
CHANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Check:
    """One test. ``said``: what was found and what was asked for, in words; ``figures``: the same for machines."""

    name: str
    passed: bool
    said: str
    figures: Mapping[str, object]


def run_tests(
    transport: Transport, release: Release, tests: StageTests, precision: Precision, heard: Callable[[Check], None]
) -> list[Check]:
    """All of them, whether or not one fails; ``heard`` hears of each when it has ended. ``transport``: to the endpoint."""
    return asyncio.run(_Stage(transport, release, tests, precision).run(heard))


class _Stage:
    def __init__(self, transport: Transport, release: Release, tests: StageTests, precision: Precision) -> None:
        self.transport, self.release, self.tests = transport, release, tests
        self.family = Family.model_validate_json((release.path / "family.json").read_bytes())
        self.golden = read_golden(release.path, precision)
        self.replies: list[Reply] = []

    async def run(self, heard: Callable[[Check], None]) -> list[Check]:
        tests: Mapping[str, Callable[[], Awaitable[Check]]] = {
            "identity": self.identity, "golden answers": self.golden_answers, "accuracy": self.accuracy,
            "load": self.load, "memory": self.memory, "bad input": self.bad_input,
        }  # fmt: skip
        checks: list[Check] = []
        async with self.transport:
            for name, test in tests.items():
                try:
                    check = await test()
                except (NoAnswer, KeyError, ValueError) as error:
                    what = str(error) if isinstance(error, NoAnswer) else f"{type(error).__name__}: {error}"
                    said = f"no answer that can be read: {what}".rstrip(": ")
                    check = Check(name=name, passed=False, said=said, figures={})
                checks.append(check)
                heard(check)
        return checks

    async def identity(self) -> Check:
        info = await self.transport.info()
        expected = {
            "release": self.release.name, "digest": self.release.digest, "family": self.release.family,
            "species": len(self.family.species), "groups": list(self.family.groups),
            "classes_digest": self.family.classes_digest,
            "preprocessing": asdict(self.family.preprocessing),
        }  # fmt: skip
        other = [name for name, value in expected.items() if info.get(name) != value]
        said = (
            f"digest {self.release.digest[:12]}, {len(self.family.species)} species, and how photographs are prepared"
        )
        return Check(
            name="identity",
            passed=not other,
            said=f"what was registered: {said}" if not other else
            "; ".join(f"{name} is {_short(info.get(name))}, registered was {_short(expected[name])}" for name in other),
            figures={"differs": other, "digest": info.get("digest")},
        )  # fmt: skip

    async def golden_answers(self) -> Check:
        self.replies = [await self.transport.identify(photograph.data) for photograph in self.golden]
        wrong = [
            what
            for photograph, reply in zip(self.golden, self.replies, strict=True)
            if (what := self._wrong(photograph, reply)) is not None
        ]
        right = len(self.golden) - len(wrong)
        return Check(
            name="golden answers",
            passed=not wrong,
            said=f"{right} of {len(self.golden)} as evaluated, within {self.golden[0].tolerance:g}"
            + "".join(f"; {one}" for one in wrong[:3]) + ("; ..." if len(wrong) > 3 else ""),
            figures={"photographs": len(self.golden), "right": right},
        )  # fmt: skip

    def _wrong(self, photograph: Photograph, reply: Reply) -> str | None:
        if reply.status != 200:
            return f"golden photograph {photograph.name}: status {reply.status}"
        if reply.release != self.release.name:
            return f"golden photograph {photograph.name}: {reply.release} answered"
        return difference(photograph, reply.json)

    async def accuracy(self) -> Check:
        served = sum(named(r.json) == p.species_id for p, r in zip(self.golden, self.replies, strict=True))
        evaluated = sum(photograph.top[0][0] == photograph.species_id for photograph in self.golden)
        num = len(self.golden)
        means = [self.release.summary[name] for name in ("top1", "macro_recall") if name in self.release.summary]
        counts = np.arange(num + 1)
        low = int(np.searchsorted(bdtr(counts, num, min(means)), CHANCE)) if means else 0
        high = int(np.searchsorted(bdtr(counts, num, max(means)), 1 - CHANCE)) if means else num
        passed = served == evaluated and low <= served <= high
        expected = f" (of all test photographs {100 * means[0]:.1f} %, so {low} to {high} of these)" if means else ""
        return Check(
            name="accuracy",
            passed=passed,
            said=f"{served} of {num} held-back photographs named right, {evaluated} by the evaluation{expected}",
            figures={"photographs": num, "served": served, "evaluated": evaluated, "low": low, "high": high},
        )

    async def load(self) -> Check:
        tests = self.tests
        outcomes = await open_loop(
            [photograph.data for photograph in self.golden],
            self.transport.identify,
            rate_per_s=tests.rate_per_s,
            for_s=tests.load_s,
        )
        latencies_ms = np.array([outcome.ms for outcome in outcomes])
        p50, p95, p99 = np.percentile(latencies_ms, [50, 95, 99], method="higher").tolist()
        errors = sum(not outcome.ok for outcome in outcomes)
        share = errors / len(outcomes)
        passed = p99 <= tests.max_p99_ms and share <= tests.max_error_share
        return Check(
            name="load",
            passed=passed,
            said=f"{tests.rate_per_s:g} requests a second for {tests.load_s:g} s: p99 {p99:.0f} ms (at most "
            f"{tests.max_p99_ms:g}), {errors} of {len(outcomes)} failed (at most {100 * tests.max_error_share:g} %)",
            figures={"requests": len(outcomes), "errors": errors, "p50_ms": round(p50, 2), "p95_ms": round(p95, 2),
                     "p99_ms": round(p99, 2), "rate_per_s": tests.rate_per_s},
        )  # fmt: skip

    async def memory(self) -> Check:
        memory_mb = float((await self.transport.info())["memory_mb"])
        limit_mb = self.tests.max_memory_mb
        return Check(
            name="memory",
            passed=memory_mb <= limit_mb,
            said=f"{memory_mb:.0f} MB after the load (at most {limit_mb:g})",
            figures={"memory_mb": memory_mb},
        )

    async def bad_input(self) -> Check:
        found: list[str] = []
        bodies = bad_bodies(self.golden[0].data)
        for name, (content_type, body) in bodies.items():
            status = (await self.transport.identify(body, content_type)).status
            if not 400 <= status < 500:
                found.append(f"{name} got {status}")
        after = (await self.transport.identify(self.golden[0].data)).status
        if after != 200:
            found.append(f"a photograph got {after} afterwards")
        return Check(
            name="bad input",
            passed=not found,
            said="; ".join(found)
            or f"each of {len(bodies)} bad bodies refused, and photographs are answered as before",
            figures={"bodies": len(bodies), "not_refused": found},
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``ms``: from the moment at which the request was due, so that a server that falls behind cannot hide it."""

    ms: float
    ok: bool


async def open_loop(
    bodies: Sequence[bytes], ask: Callable[[bytes], Awaitable[Reply]], *, rate_per_s: float, for_s: float
) -> list[Outcome]:
    """Sends at a constant rate whether or not earlier requests were answered."""
    clock = asyncio.get_running_loop().time
    begun = clock()

    async def one(body: bytes, due: float) -> Outcome:
        try:
            ok = (await ask(body)).status == 200
        except NoAnswer:
            ok = False
        return Outcome(ms=1000 * (clock() - due), ok=ok)

    under_way: list[asyncio.Task[Outcome]] = []
    for number in range(max(1, round(rate_per_s * for_s))):
        due = begun + number / rate_per_s
        await asyncio.sleep(max(0.0, due - clock()))
        under_way.append(asyncio.create_task(one(bodies[number % len(bodies)], due)))
    return await asyncio.gather(*under_way)


def bad_bodies(photograph: bytes) -> Mapping[str, tuple[str, bytes]]:
    """What -> (content type, body): everything that a server must refuse."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    return {
        "an empty body": ("image/jpeg", b""),
        "text that calls itself a photograph": ("image/jpeg", b"<html>not a photograph</html>"),
        "the head of a photograph": ("application/octet-stream", photograph[:100]),
        "a picture of 3600 megapixels": ("image/png", bomb),
        "an unknown type": ("text/plain", photograph),
        "JSON that is none": ("application/json", b'{"photographs": ['),
        "JSON without photographs": ("application/json", b"{}"),
        "base64 that is none": ("application/json", b'{"photographs": ["%%%"]}'),
    }


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
