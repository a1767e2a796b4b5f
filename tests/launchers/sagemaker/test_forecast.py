"""What a person reads of pipelines before anything is started, and what they allow them to cost."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DEMO, FinishedRun, Said
from tests.launchers.sagemaker.declared import ON_SAGEMAKER

Command = Callable[..., Said]
PRICES = """
region: eu-west-1
currency: EUR
source: the tests
date: 2026-11-01
per_hour: {ml.m5.xlarge: 0.25, ml.g5.xlarge: 2.0}
"""


def price_file(folder: Path, text: str = PRICES) -> str:
    (folder / "prices.yaml").write_text(text)
    return f"launcher.prices={folder / 'prices.yaml'}"


def test_plan_writes_every_pipeline_and_says_on_which_machines_they_run(earthsnap: Command, tmp_path: Path) -> None:
    said = earthsnap("plan", *DEMO, *ON_SAGEMAKER)

    assert said.code == 0
    assert "1 x ml.g5.xlarge, 2 x ml.m5.xlarge" in said.out
    assert "29 jobs in 7 pipelines" in said.out
    assert "launcher.prices names no list of prices" in said.out
    written = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "pipelines").iterdir()}
    assert {"plants-debug-data", "plants-debug-parent", "plants-debug-release"} <= set(written)
    assert all(definition["Version"] == "2020-12-01" for definition in written.values())


def test_plan_says_the_same_as_json(earthsnap: Command, tmp_path: Path) -> None:
    told: Any = earthsnap("plan", *DEMO, *ON_SAGEMAKER, "--json", price_file(tmp_path)).json["pipelines"]

    assert told["pipelines"]["plants-debug-parent"]["jobs"] == 3
    assert told["machine_hours_are"] == "limits"
    # Five training jobs and 24 of processing, each for its 12 hours and 4 minutes.
    assert told["machine_hours"] == pytest.approx(29 * (12 + 4 / 60), abs=0.01)
    assert told["cost"] == pytest.approx((5 * 2.0 + 24 * 0.25) * (12 + 4 / 60), abs=0.01)


def test_every_machine_of_a_job_is_counted(earthsnap: Command, tmp_path: Path) -> None:
    several = ("training=full", "launcher.qa_instances=3", "launcher.nodes.parent.instance_count=4")

    told: Any = earthsnap("plan", *DEMO, *ON_SAGEMAKER, *several, "--json", price_file(tmp_path)).json["pipelines"]

    assert told["pipelines"]["plants-debug-parent"]["machines"] == "4 x ml.g5.xlarge, 2 x ml.m5.xlarge"
    jobs = sum(pipeline["jobs"] for pipeline in told["pipelines"].values())
    assert told["machine_hours"] == pytest.approx((jobs + 2 + 3) * (12 + 4 / 60), abs=0.01)


def test_a_plan_that_may_cost_too_much_is_refused(earthsnap: Command, tmp_path: Path) -> None:
    prices = price_file(tmp_path)

    refused = earthsnap("plan", *DEMO, *ON_SAGEMAKER, prices, "launcher.max_cost=100")
    allowed = earthsnap("plan", *DEMO, *ON_SAGEMAKER, prices, "launcher.max_cost=200")

    assert refused.code == 2
    assert "launcher.max_cost: the plan may cost up to 193.07 EUR" in refused.err
    assert not refused.out
    assert allowed.code == 0
    assert "It costs at most 193.07 EUR" in allowed.out
    assert "on-demand prices of eu-west-1 on 2026-11-01, from the tests" in allowed.out


def test_a_plan_that_ran_here_is_foretold_by_what_it_took(finished_run: FinishedRun, earthsnap: Command) -> None:
    typed = ("plan", *DEMO, *ON_SAGEMAKER, *finished_run.paths)
    told: Any = earthsnap(*typed, "--json").json["pipelines"]

    starting_s = 29 * 4 * 60
    took_s = sum(stage["seconds"] for stage in finished_run.summary["stages"].values())
    assert told["machine_hours_are"] == "estimated"
    assert told["machine_hours"] == pytest.approx((starting_s + took_s) / 3600, abs=0.01)
    # In a row: five jobs of data, three of a node, three of the release, for bundle and report run side by side.
    assert 11 * 4 * 60 <= told["elapsed_s"] <= 11 * 4 * 60 + took_s
    assert "From start to end about" in earthsnap(*typed).out


def test_every_trial_of_the_services_tuning_counts_as_a_job(earthsnap: Command, tmp_path: Path) -> None:
    typed = (
        "plan",
        *DEMO,
        *ON_SAGEMAKER,
        "tuning=sagemaker",
        "launcher.trials_at_once=2",
        "--json",
        price_file(tmp_path),
    )
    told: Any = earthsnap(*typed).json["pipelines"]

    # Before its two trials a job looks for their result, and one keeps the best after them.
    assert told["pipelines"]["plants-debug-tune-parent"]["jobs"] == 4
    assert told["pipelines"]["plants-debug-tune-parent"]["machines"] == "2 x ml.m5.xlarge, 2 x ml.g5.xlarge"
    assert told["machine_hours"] == pytest.approx((29 + 2 * 4) * (12 + 4 / 60), abs=0.01)
    assert told["cost"] == pytest.approx((9 * 2.0 + 28 * 0.25) * (12 + 4 / 60), abs=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "what the plan costs is not known without prices"),
        (PRICES.replace("eu-west-1", "us-east-2"), "the prices are those of us-east-2"),
        (PRICES.replace("ml.g5.xlarge", "ml.g5.xlarg"), "Did you mean 'ml.g5.xlarg'?"),
        (PRICES.replace("2.0", "-2.0"), "greater than 0"),
        (PRICES.replace("date", "dates"), "no such key"),
    ],
)
def test_prices_that_do_not_fit_are_refused(text: str | None, said: str, earthsnap: Command, tmp_path: Path) -> None:
    prices = [price_file(tmp_path, text)] if text else []

    refused = earthsnap("plan", *DEMO, *ON_SAGEMAKER, *prices, "launcher.max_cost=1")

    assert refused.code == 2
    assert said in refused.err


def test_train_refuses_what_may_cost_too_much_before_it_asks_anything_of_aws(
    earthsnap: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.client", None)  # no client can be made

    for wait in ("true", "false"):
        typed = (price_file(tmp_path), "launcher.max_cost=100", f"launcher.wait={wait}")
        refused = earthsnap(*DEMO, *ON_SAGEMAKER, *typed)

        assert refused.code == 2
        assert "launcher.max_cost: the plan may cost up to 193.07 EUR" in refused.err


def test_without_boto3_train_says_in_one_line_how_to_get_it(
    earthsnap: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    refused = earthsnap(*DEMO, *ON_SAGEMAKER)

    assert refused.code == 3
    assert 'pip install "earthsnap_train[sagemaker]"' in refused.err
    assert list(tmp_path.iterdir()) == []
