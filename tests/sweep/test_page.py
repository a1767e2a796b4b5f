"""What people read at the end of a sweep."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.console import Console

from earthsnap_train.sweep.page import render
from earthsnap_train.sweep.parallel import parallel
from earthsnap_train.sweep.record import Job, SweepRecord
from earthsnap_train.sweep.table import job_table
from tests.sweep.conftest import DECAY, LR, METHOD, record


def job(number: int, lr: float, top1: float | None, **changes: object) -> Job:
    figures = {} if top1 is None else {"family.top1": top1}
    state = "failed" if top1 is None else "done"
    plain = {"number": number, "values": {"training.lr": lr, "training.method": "head"}, "objectives": figures}
    return Job.model_validate(plain | {"state": state, "seconds": 1.5} | changes)


def sweep() -> SweepRecord:
    return record(
        job(1, 0.001, 0.8, release="plants-1"),
        job(2, 0.01, 0.9, release="plants-2"),
        job(3, 0.1, None, error="train/parent: <b>it</b> broke"),
        axes=(LR, METHOD, DECAY),
    )


def test_the_page_needs_no_network_and_no_script() -> None:
    page = render(sweep())

    assert not re.search(r"<script|<link|src=|url\(|@import|https?://", page)
    assert "prefers-color-scheme: dark" in page


def test_every_tag_of_the_page_is_closed() -> None:
    open_tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Tags().feed(re.sub(r"<svg.*?</svg>", "", render(sweep()), flags=re.S))
    assert open_tags == []


def test_what_a_job_said_is_shown_as_text() -> None:
    page = render(sweep())

    assert "<b>it</b>" not in page
    assert "failed: train/parent: &lt;b&gt;it&lt;/b&gt; broke" in page


def test_the_page_names_the_best_job_and_its_values() -> None:
    page = render(sweep())

    assert "Job 2 is the best of 2." in page
    assert "training.lr=0.01 training.method=head" in page


def test_each_job_is_a_path_across_what_is_known_of_it() -> None:
    groups = ElementTree.fromstring(str(parallel(sweep()))).findall("g")
    told = {str(one.findtext("title")): (one.get("class"), len(one.findall("circle"))) for one in groups}

    # Its rate, its method, its figure; nothing varied a decay, and what failed has no figure.
    assert told == {
        "job 1, training.lr=0.001, training.method=head, family.top1 0.8": ("job s0", 3),
        "job 2, training.lr=0.01, training.method=head, family.top1 0.9": ("job s5 best", 3),
        "job 3, training.lr=0.1, training.method=head, failed: train/parent: <b>it</b> broke": ("job unknown", 2),
    }
    assert str(groups[-1].get("class")).endswith("best"), "it is drawn last, above all others"


def test_a_logarithmic_range_is_drawn_as_one() -> None:
    drawn = ElementTree.fromstring(str(parallel(sweep())))
    heights = [float(str(group.findall("circle")[0].get("cy"))) for group in sorted(drawn.findall("g"), key=_title)]

    first, second, third = heights
    assert first - second == pytest.approx(second - third, abs=0.2)


def _title(group: ElementTree.Element) -> str:
    return str(group.findtext("title"))


def test_a_sweep_in_which_nothing_ended_has_a_page() -> None:
    assert "No job has come to an end." in render(record())


def test_the_table_has_what_was_varied_what_came_of_it_and_how_long_it_took() -> None:
    out = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    out.print(job_table(sweep()))
    lines = [line.split() for line in out.export_text().splitlines()]

    assert lines[0] == ["job", "lr", "method", "ema_decay", "family.top1", "release", "seconds", "state"]
    assert lines[2] == ["2", "0.01", "head", "0.9", "plants-2", "1.5", "done", "best"]
    assert lines[3] == ["3", "0.1", "head", "1.5", "failed:", "train/parent:", "<b>it</b>", "broke"]


def test_names_are_short_where_they_are_no_others() -> None:
    from earthsnap_train.sweep.axes import Axis
    from earthsnap_train.sweep.table import short_names

    other = Axis(key="++nodes.child.lr", dimension=LR.dimension)

    assert short_names([LR, other, METHOD]) == ["training.lr", "nodes.child.lr", "method"]
