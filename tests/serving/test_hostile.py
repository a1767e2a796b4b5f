"""Hundreds of files that mean harm, sent to a real server: none ends it, none fills its memory, each gets a clear answer."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serving.hostile import files, flipped, jpeg, lying, polyglots, truncated
from tests.serving.served import served

MAX_MORE_MB = 256


@pytest.mark.slow
def test_no_hostile_file_harms_a_server(tiny: Callable[..., Any], tmp_path: Path) -> None:
    with served(tiny("training=head").release(), tmp_path, workers=2) as server:
        assert server.identify(jpeg()).status == 200
        process = psutil.Process(server.process.pid)
        before = most = process.memory_info().rss
        ended = threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(0.002):
                most = max(most, process.memory_info().rss)

        watching = threading.Thread(target=watch)
        watching.start()
        counted: Counter[str] = Counter()
        seen: set[tuple[str, int]] = set()
        names: set[str] = set()
        wrong: list[str] = []
        for hostile in files():
            reply = server.identify(hostile.body, hostile.content_type)
            assert hostile.name not in names
            names.add(hostile.name)
            seen.add((hostile.content_type, hash(hostile.body)))
            counted["answered" if reply.status == 200 else "refused"] += 1
            if reply.status == 200:
                if hostile.harmless is None:
                    wrong.append(f"{hostile.name}: answered")
                continue
            error = json.loads(reply.body)["error"]
            if not 400 <= reply.status < 500 or not error["code"] or not error["message"]:
                wrong.append(f"{hostile.name}: {reply.status} {error}")
        ended.set()
        watching.join()
        assert not wrong
        assert len(seen) >= 700
        assert counted["refused"] >= 500
        assert counted["answered"] <= counted["refused"] / 2
        assert (most - before) / (1 << 20) < MAX_MORE_MB
        assert server.identify(jpeg()).status == 200
        assert server.end() == 0


def test_the_corpus_is_the_same_wherever_it_is_made() -> None:
    def some() -> list[tuple[str, str]]:
        return [
            (one.name, sha256(one.body).hexdigest())
            for make in (truncated, flipped, lying, polyglots)
            for one in islice(make(), 40)
        ]

    assert some() == some()
