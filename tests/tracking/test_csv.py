"""The three tables, as a spreadsheet or pandas would read them."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from earthsnap_train.spec.tracking import Csv
from earthsnap_train.tracking.csv import CsvTracker
from earthsnap_train.tracking.port import TrackedFamily


def tables(told: TrackedFamily, folder: Path, separator: str = "comma") -> dict[str, list[dict[str, str]]]:
    line = CsvTracker(Csv.model_validate({"separator": separator})).tell(told, folder)
    assert line == f"CSV      {folder / 'csv'}"
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t"}[separator]
    return {
        path.stem: list(csv.DictReader(path.open(newline=""), delimiter=delimiter))
        for path in (folder / "csv").iterdir()
    }


@pytest.mark.parametrize("separator", ["comma", "semicolon", "tab"])
def test_all_of_a_family_is_in_three_tables(told: TrackedFamily, folder: Path, separator: str) -> None:
    read = tables(told, folder, separator)

    job = {"job": "train/child/rosaceae"}
    assert read["curves"] == [
        job | {"step": "5", "name": "loss", "value": "1.5"},
        job | {"step": "5", "name": "lr", "value": "0.1"},
        job | {"step": "5", "name": "val_loss", "value": "1.25"},
        job | {"step": "10", "name": "loss", "value": "1.0"},
    ]
    assert read["species"] == [
        {"species_id": "rosa-canina", "recall": "0.5", "most_confused_with": "rosa rugosa; or none"},
        {"species_id": "rosa-rugosa", "recall": "", "most_confused_with": ""},
    ]
    run = {"family": "plants", "run": "2026-11-22_10-00-00", "sweep": ""}
    assert read["runs"] == [
        run | {"job": "prepare", "job_type": "prepare", "name": "num_images", "value": "9"},
        run | job | {"job_type": "train-child", "name": "test_top1", "value": "0.75"},
        run | {"job": "evaluate", "job_type": "evaluate", "name": "top1", "value": "0.5"},
    ]


def test_a_run_of_a_sweep_names_it(told: TrackedFamily, folder: Path) -> None:
    read = tables(replace(told, sweep="2026-11-21_09-00-00"), folder)

    assert {row["sweep"] for row in read["runs"]} == {"2026-11-21_09-00-00"}
