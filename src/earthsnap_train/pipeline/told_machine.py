"""How busy the machine was during each stage, from what a run wrote down on its way."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earthsnap_train.tracking.port import Rows

MOST_SAMPLES = 500  # of one job: more are no better a picture


class Machine:
    """``samples``: as in ``machine.jsonl``. ``spans``: stage -> when it began and ended."""

    def __init__(self, samples: Sequence[Mapping[str, float]], spans: Mapping[str, tuple[float, float]]) -> None:
        self._samples = samples
        self._spans = spans

    @classmethod
    def read(cls, folder: Path) -> "Machine":
        """Of a run folder."""
        begun: dict[str, float] = {}
        spans: dict[str, tuple[float, float]] = {}
        for event in _lines(folder / "events.jsonl"):
            if event["event"] == "started":
                begun[event["stage"]] = event["at"]
            elif event["event"] == "done" and event["stage"] in begun:
                spans[event["stage"]] = (begun[event["stage"]], event["at"])
        return cls(_lines(folder / "machine.jsonl"), spans)

    def during(self, stages: Sequence[str]) -> Rows:
        """From the first of the stages that began to the last that ended, in seconds since that beginning; thinned out."""
        spans = [self._spans[name] for name in stages if name in self._spans]
        if not spans:
            return []
        first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
        during = [sample for sample in self._samples if first <= sample["at"] <= last]
        every = math.ceil(len(during) / MOST_SAMPLES) or 1
        return [
            (round(sample["at"] - first), {name: value for name, value in sample.items() if name != "at"})
            for sample in during[::every]
        ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
