"""The page that W&B gets of a run, as its service would receive it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.tracking.links import Links
from earthsnap_train.tracking.port import TrackedFamily
from tests.conftest import Said
from tests.tracking.test_upload import write
from tests.tracking.test_wandb import GROUP, KEY
from tests.tracking.wandb_service import Arrived, service


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrived]:
    with service() as there:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", there.url)
        yield there


def grids(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in json.loads(report["spec"])["blocks"] if block.get("type") == "panel-grid"]


@pytest.mark.slow
def test_a_report_is_made_once_and_then_replaced(
    told: TrackedFamily, folder: Path, arrived: Arrived, earthsnap: Callable[..., Said]
) -> None:
    write(told, folder)

    said = earthsnap("sync", f"run={folder}", "report=true")

    assert said.code == 0, said
    links = Links.read(folder)
    assert links is not None
    assert links.report is not None
    assert said.out.splitlines() == [f"{folder}  3 runs are there", f"{folder}  report {links.report.url}"]
    again = earthsnap("sync", f"run={folder}", "report=true")
    assert again.out.splitlines()[-1] == f"{folder}  report {links.report.url}"
    (report,) = arrived.reports.values()
    assert report["displayName"] == GROUP.replace("/", " ")
    learnt, worth, tables, machine = grids(report)
    filters = [one["value"] for one in learnt["runSets"][0]["filters"]["filters"]]
    assert filters == [GROUP, ["train-child"]]
    assert [one["value"] for one in machine["runSets"][0]["filters"]["filters"]][1] == [
        "evaluate",
        "prepare",
        "train-child",
    ]
    for grid in (learnt, worth, tables, machine):
        places = [panel["layout"] for panel in grid["panelBankSectionConfig"]["panels"]]
        assert len({(one["x"], one["y"]) for one in places}) == len(places)
        assert all(one["x"] + one["w"] <= 24 for one in places)
    assert arrived.unknown == []


@pytest.mark.slow
def test_runs_that_are_up_there_without_a_report_get_one_too(
    told: TrackedFamily, tmp_path: Path, arrived: Arrived, earthsnap: Callable[..., Said]
) -> None:
    run = tmp_path / "outputs" / "plants" / "a"
    run.mkdir(parents=True)
    write(told, run)
    earthsnap("sync")

    said = earthsnap("sync", "report=true")

    links = Links.read(run)
    assert links is not None
    assert links.report is not None, said
    assert said.out.splitlines() == [
        "outputs/plants/a  everything was there",
        f"outputs/plants/a  report {links.report.url}",
    ]
    assert earthsnap("sync", "report=true").out == "nothing waits to be uploaded\n"


@pytest.mark.slow
def test_what_was_searched_is_shown_only_where_something_was(folder: Path, arrived: Arrived) -> None:
    from earthsnap_train.tracking.wandb_report import build_report

    links = Links(project="earthsnap", entity="team", group=GROUP, job_types=("tune-child", "train-child"), waiting=())

    titles = [block.text for block in build_report(links, entity="team").blocks if hasattr(block, "text")]

    assert titles[:2] == ["What was searched", "What was learnt"]


def test_without_the_package_sync_says_how_to_get_it(
    told: TrackedFamily, folder: Path, monkeypatch: pytest.MonkeyPatch, earthsnap: Callable[..., Said]
) -> None:
    write(told, folder)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)  # as if it could not be found

    said = earthsnap("sync", f"run={folder}", "report=true")

    assert said.code == 3
    assert 'pip install "earthsnap_train[wandb-report]"' in said.err
