"""What a person sees of a run that goes on: plain lines in a pipe, bars on a terminal, and every event in a file."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from earthsnap_train.pipeline.plan import Plan, Stage
from launchers.local import Event
from launchers.progress import Follower

PLAN = Plan(
    family="plants",
    stages=tuple(Stage(name=name, kind=kind, settings={}) for name, kind in
                 (("ingest", "ingest"), ("select/parent", "select"), ("train/parent", "train"))),
    externals={},
    nodes=("parent",),
)  # fmt: skip


def follow(tmp_path: Path, *events: Event, estimates: dict[str, float] | None = None, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, highlight=False)
    with Follower(PLAN, console, tmp_path / "events.jsonl", estimates=estimates or {}) as follower:
        for event in events:
            follower(event)
    return out.getvalue()


def event(kind: str, at: float, stage: str = "train/parent", **values: object) -> Event:
    return Event(stage=stage, kind=kind, values=values, at=at)


def progress(at: float, done: int, total: int = 100) -> Event:
    return event("progress", at, done=done, total=total, unit="photographs")


def test_a_pipe_gets_a_line_now_and_then_with_what_is_left(tmp_path: Path) -> None:
    printed = follow(
        tmp_path,
        event("started", 0),
        progress(5, 0),
        progress(6, 5),
        progress(15, 50),
        progress(16, 55),
        progress(26, 80),
    )

    lines = [line.partition("  ")[2] for line in printed.splitlines()]
    assert lines == [
        "train/parent: 50 of 100 photographs, about 10 s left",
        "train/parent: 80 of 100 photographs, about 5.2 s left",
    ]


def test_a_pace_is_told_once_there_is_one(tmp_path: Path) -> None:
    printed = follow(tmp_path, event("started", 0), progress(9, 0), progress(11, 1))

    assert printed.splitlines()[0].endswith("train/parent: 1 of 100 photographs")


def test_a_stages_next_phase_counts_anew(tmp_path: Path) -> None:
    printed = follow(tmp_path, event("started", 0), progress(0, 0), progress(9, 90), progress(10, 0), progress(30, 20))

    assert printed.splitlines()[-1].endswith("20 of 100 photographs, about 80 s left")


def test_an_end_tells_how_long_it_took_and_what_is_left_of_the_run(tmp_path: Path) -> None:
    done = event("done", 9, "ingest", seconds=9.04, num_images=1200)

    told = follow(tmp_path, event("started", 0, "ingest"), done, estimates={"select/parent": 0.1, "train/parent": 60})
    untold = follow(tmp_path, event("started", 0, "ingest"), done, estimates={"select/parent": 0.1})

    assert told.splitlines()[-1].endswith("ingest: done in 9.0 s, 1,200 images (about 60 s of work left)")
    assert untold.splitlines()[-1].endswith("ingest: done in 9.0 s, 1,200 images")


def test_light_and_cached_stages_are_no_news(tmp_path: Path) -> None:
    printed = follow(
        tmp_path,
        event("started", 0, "select/parent"),
        event("done", 1, "select/parent", seconds=0.1, num_images=3),
        event("cached", 1, "ingest", seconds=9, num_images=3),
    )

    assert printed == ""


def test_notes_and_failures_are_told(tmp_path: Path) -> None:
    printed = follow(tmp_path, event("note", 0, text="comparing [3] photographs"), event("failed", 1, error="a\nb"))

    assert printed.splitlines()[0] == "  train/parent: comparing [3] photographs"
    assert printed.splitlines()[1].endswith("train/parent: failed")


def test_every_event_is_kept(tmp_path: Path) -> None:
    follow(tmp_path, event("started", 0), event("measure", 2, step=3, loss=0.5))

    rows = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert rows[0] == {"at": 0, "stage": "train/parent", "event": "started"}
    assert rows[1] == {"at": 2, "stage": "train/parent", "event": "measure", "step": 3, "loss": 0.5}


def test_an_event_after_the_end_is_dropped(tmp_path: Path) -> None:
    with Follower(PLAN, Console(file=io.StringIO()), tmp_path / "events.jsonl", estimates={}) as follower:
        pass

    follower(event("note", 0, text="too late"))

    assert (tmp_path / "events.jsonl").read_text() == ""


@pytest.mark.parametrize("width", [40, 80])
def test_bars_leave_whole_lines_behind(tmp_path: Path, width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, highlight=False, color_system=None)
    with Follower(PLAN, console, tmp_path / "events.jsonl", estimates={}) as follower:
        for stage in ("ingest", "train/parent"):
            follower(event("started", 0, stage))
        follower(progress(1, 3))
        follower(event("done", 2, "ingest", seconds=2, num_images=0))
        follower(event("done", 3, seconds=3, num_images=0))

    left = _screen(out.getvalue())

    assert [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in left] == [
        "ingest: done in 2.0 s",
        "train/parent: done in 3.0 s",
    ]


def _screen(written: str) -> list[str]:
    """The lines that a terminal shows in the end: as far as rich moves its cursor."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[\??(\d*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)", written):
        number, command, _, newline, text = part
        if command == "A":
            row = max(0, row - int(number or 1))
        elif command == "K":
            lines[row] = ""
        elif newline:
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = text
    return [line.rstrip() for line in lines if line.strip()]
