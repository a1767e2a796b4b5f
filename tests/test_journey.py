"""Every experiment, made small, goes all the way from photographs to a release."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, FinishedRun, Said

EXPERIMENTS = sorted(path.stem for path in (REPOSITORY / "conf" / "experiment").glob("*.yaml"))


def test_there_are_experiments() -> None:
    assert "plants" in EXPERIMENTS


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_made_small_ends_in_a_release(
    experiment: str, finished_run: FinishedRun, earthsnap_process: Callable[..., Said], tmp_path: Path
) -> None:
    if experiment == "plants":
        folder = finished_run.run_folder
    else:
        said = earthsnap_process(f"experiment={experiment}", "debug=true", "tracking=none", "--json")
        assert said.code == 0, said.err
        folder = tmp_path / said.json["folder"]
    summary = json.loads((folder / "summary.json").read_bytes())
    assert {"family", "flat", "nodes", "gates", "release", "stages", "lineage", "seconds"} <= summary.keys()
    assert {"top1", "top5", "macro_recall", "ece", "misrouted", "misnamed", "oracle_top1"} <= summary["family"].keys()
    assert summary["family"]["top1"] + summary["family"]["misrouted"] + summary["family"]["misnamed"] == pytest.approx(
        1
    )
    assert summary["release"]["name"].endswith("-debug-1")
    assert {"config.json", "plan.json", "events.jsonl", "report.html", "qa.html", "summary.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert len((folder / "report.html").read_bytes()) < 3_000_000


@pytest.mark.slow
def test_the_closing_words_name_report_and_next_command(finished_run: FinishedRun) -> None:
    out = finished_run.said.out
    assert f"report   {finished_run.run_folder.relative_to(finished_run.folder)}/report.html" in out
    assert "next     earthsnap predict PHOTO.jpg release=plants-debug-1" in out
    assert "flat baseline" in out


@pytest.mark.slow
def test_the_release_names_the_flora(finished_run: FinishedRun, earthsnap: Callable[..., Said]) -> None:
    photographs = sorted((finished_run.folder / "registry/plants-debug/1/golden").glob("*.jpg"))
    said = earthsnap("predict", *map(str, photographs), "release=plants-debug-1", "--json", *finished_run.paths)
    assert said.code == 0, said.err
    answers = json.loads((finished_run.folder / "registry/plants-debug/1/golden/answers.json").read_text())
    expected = {answer["file"]: answer["top"][0] for answer in answers}
    for one in said.json["photographs"]:
        species, probability = expected[Path(one["photograph"]).name]
        assert one["species"][0]["species_id"] == species
        assert one["species"][0]["probability"] == pytest.approx(probability, abs=1e-3)
