"""A definition runs here as it would there: channels, parameters, order, property files, conditions, limits, reasons."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import StageError
from launchers.sagemaker.execution import Execution

Json = dict[str, Any]
# What a container of these tests runs: it lists what it was given, and does what it is told to.
LISTS = """
import json, os, pathlib, sys
root = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"])
found = {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}
kept = pathlib.Path(os.environ["EARTHSNAP_S3_ROOT"]) / "b" / "seen" / os.environ["NAME"]
kept.parent.mkdir(parents=True, exist_ok=True)
kept.write_text(json.dumps(found))
"""
JUDGES = """
import os, pathlib
out = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"], "processing/output/gates")
(out / "gates.json").write_text('{"family": {"passed": %s}}')
"""
FAILS = """
import os, pathlib, sys
place = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"], "output/message")
place.parent.mkdir(parents=True, exist_ok=True)
place.write_text("two species have no photographs")
sys.exit(2)
"""
SLEEPS = """
import os, pathlib, signal, sys, time
kept = pathlib.Path(os.environ["EARTHSNAP_S3_ROOT"], "b", "ended")
signal.signal(signal.SIGTERM, lambda *_: (kept.write_text("in time"), sys.exit(143)))
time.sleep(60)
"""


def processing(
    name: str, code: str, *inputs: Json, outputs: tuple[str, ...] = (), limit_s: int = 60, **more: Any
) -> Json:
    arguments = {
        "AppSpecification": {"ContainerEntrypoint": ["python", "-c", code], "ContainerArguments": ["processing"]},
        "ProcessingInputs": [
            {"InputName": one["name"], "S3Input": {"LocalPath": f"/opt/ml/processing/input/{one['name']}", **one["source"]}}
            for one in inputs
        ],
        "ProcessingOutputConfig": {"Outputs": [
            {"OutputName": one, "S3Output": {"LocalPath": f"/opt/ml/processing/output/{one}", "S3Uri": f"s3://b/{name}/{one}"}}
            for one in outputs
        ]},
        "StoppingCondition": {"MaxRuntimeInSeconds": limit_s},
        "Environment": {"NAME": name},
    }  # fmt: skip
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **more}


def channel(name: str, kind: str, uri: Any) -> Json:
    return {"name": name, "source": {"S3DataType": kind, "S3Uri": uri}}


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., str | None]:
    def call(*steps: Json, parameters: tuple[Json, ...] = (), **given: str) -> str | None:
        definition = {"Parameters": list(parameters), "Steps": list(steps)}
        return Execution(definition, given, s3=tmp_path / "s3", work=tmp_path / "work").run()

    return call


def put(root: Path, key: str, text: str) -> None:
    place = root / "s3" / "b" / key
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def seen(root: Path, name: str) -> dict[str, str]:
    found = json.loads((root / "s3" / "b" / "seen" / name).read_text())
    return {path: text for path, text in found.items() if not path.endswith("config.json")}


def test_a_prefix_shows_what_lies_below_it_and_nothing_beside_it(tmp_path: Path, execute: Callable[..., Any]) -> None:
    for key in ("records-1/a", "records-1/deep/b", "records-10/c"):
        put(tmp_path, key, key)

    execute(processing("look", LISTS, channel("data", "S3Prefix", "s3://b/records-1/")))

    assert seen(tmp_path, "look") == {
        "processing/input/data/a": "records-1/a",
        "processing/input/data/deep/b": "records-1/deep/b",
    }


def test_a_prefix_without_a_slash_takes_in_every_name_that_begins_so(
    tmp_path: Path, execute: Callable[..., Any]
) -> None:
    for key in ("records-1/a", "records-10/c"):
        put(tmp_path, key, key)

    execute(processing("look", LISTS, channel("data", "S3Prefix", "s3://b/records-1")))

    assert seen(tmp_path, "look") == {
        "processing/input/data/records-1/a": "records-1/a",
        "processing/input/data/records-10/c": "records-10/c",
    }


def test_a_manifest_shows_what_it_lists(tmp_path: Path, execute: Callable[..., Any]) -> None:
    put(tmp_path, "store/k/one", "1")
    put(tmp_path, "store/k/two", "2")
    put(tmp_path, "list.manifest", json.dumps([{"prefix": "s3://b/"}, "store/k/two"]))

    execute(processing("look", LISTS, channel("data", "ManifestFile", "s3://b/list.manifest")))

    assert seen(tmp_path, "look") == {"processing/input/data/store/k/two": "2"}


def test_a_channel_without_objects_ends_the_job(execute: Callable[..., Any]) -> None:
    with pytest.raises(StageError, match="no object is there"):
        execute(processing("look", LISTS, channel("data", "S3Prefix", "s3://b/nothing/")))


def test_parameters_and_joins_stand_for_what_they_are_given(tmp_path: Path, execute: Callable[..., Any]) -> None:
    put(tmp_path, "runs/seven/a", "yes")
    uri = {"Std:Join": {"On": "/", "Values": ["s3://b/runs", {"Get": "Parameters.Run"}, {"Get": "Parameters.File"}]}}
    parameters = ({"Name": "Run", "Type": "String"}, {"Name": "File", "Type": "String", "DefaultValue": "a"})

    execute(processing("look", LISTS, channel("data", "S3Prefix", uri)), parameters=parameters, Run="seven")

    assert seen(tmp_path, "look") == {"processing/input/data/a": "yes"}


@pytest.mark.parametrize("given", [{}, {"Run": "1", "Rum": "2"}])
def test_a_parameter_without_a_value_is_refused_and_so_is_a_value_without_one(
    given: dict[str, str], execute: Callable[..., Any]
) -> None:
    with pytest.raises(StageError, match="no such parameter, or no value for it"):
        execute(processing("look", LISTS), parameters=({"Name": "Run", "Type": "String"},), **given)


def test_a_step_waits_for_those_that_it_names(tmp_path: Path, execute: Callable[..., Any]) -> None:
    first = processing("first", LISTS)
    second = processing("second", LISTS, channel("data", "S3Prefix", "s3://b/seen/first"), DependsOn=["first"])

    execute(second, first)

    assert list(seen(tmp_path, "second")) == ["processing/input/data/first"]


@pytest.mark.parametrize("passed", ["true", "false"])
def test_a_condition_reads_a_property_file_and_takes_its_branch(
    passed: str, tmp_path: Path, execute: Callable[..., Any]
) -> None:
    file = {"PropertyFileName": "g", "OutputName": "gates", "FilePath": "gates.json"}
    judge = processing("judge", JUDGES % passed, outputs=("gates",), PropertyFiles=[file])
    read = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.judge.PropertyFiles.g"}, "Path": "family.passed"}}
    fail = {"Name": "no", "Type": "Fail", "Arguments": {"ErrorMessage": "a gate was missed"}}
    condition = {"Name": "gates", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": read, "RightValue": True}],
        "IfSteps": [processing("good", LISTS)], "ElseSteps": [fail]}}  # fmt: skip

    said = execute(condition, judge)

    assert said == (None if passed == "true" else "a gate was missed")
    assert (tmp_path / "s3" / "b" / "seen" / "good").exists() == (passed == "true")
    assert json.loads((tmp_path / "s3/b/judge/gates/gates.json").read_text()) == {
        "family": {"passed": passed == "true"}
    }


def test_why_a_job_failed_is_told_in_its_own_words_and_nothing_after_it_runs(
    tmp_path: Path, execute: Callable[..., Any]
) -> None:
    with pytest.raises(StageError) as caught:
        execute(processing("bad", FAILS), processing("next", LISTS, DependsOn=["bad"]))

    assert (caught.value.what, caught.value.where) == ("two species have no photographs", "bad")
    assert not (tmp_path / "s3" / "b" / "seen" / "next").exists()


def test_a_job_that_takes_longer_than_its_limit_is_asked_to_end(tmp_path: Path, execute: Callable[..., Any]) -> None:
    (tmp_path / "s3" / "b").mkdir(parents=True)

    with pytest.raises(StageError, match="143"):
        execute(processing("long", SLEEPS, limit_s=2))

    assert (tmp_path / "s3" / "b" / "ended").read_text() == "in time"


# ---- several machines

TELLS = """
import json, os, pathlib
root = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"])
told = json.loads((root / "config" / "resourceconfig.json").read_text())
files = sorted(p.name for p in (root / "processing" / "input").rglob("*") if p.is_file())
kept = pathlib.Path(os.environ["EARTHSNAP_S3_ROOT"], "b", "told", told["current_host"])
kept.parent.mkdir(parents=True, exist_ok=True)
kept.write_text(json.dumps({"hosts": told["hosts"], "meeting": os.environ["EARTHSNAP_MEETING"], "files": files}))
"""
SECOND_FAILS = """
import json, os, pathlib, signal, sys, time
root = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"])
kept = pathlib.Path(os.environ["EARTHSNAP_S3_ROOT"], "b")
if root.name == "algo-1":
    signal.signal(signal.SIGTERM, lambda *_: ((kept / "ended").write_text("in time"), sys.exit(0)))
    (kept / "ready").touch()
    time.sleep(60)
while not (kept / "ready").exists():
    time.sleep(0.01)
(root / "output").mkdir()
(root / "output" / "message").write_text("no network")
sys.exit(5)
"""


def spread(step: Json, *, machines: int, distribution: str = "FullyReplicated") -> Json:
    step["Arguments"]["ProcessingResources"] = {"ClusterConfig": {"InstanceCount": machines}}
    for one in step["Arguments"]["ProcessingInputs"]:
        one["S3Input"]["S3DataDistributionType"] = distribution
    return step


@pytest.mark.parametrize(("distribution", "copies"), [("FullyReplicated", 3), ("ShardedByS3Key", 1)])
def test_each_machine_of_a_job_is_told_which_it_is_and_given_all_or_its_share(
    distribution: str, copies: int, tmp_path: Path, execute: Callable[..., Any]
) -> None:
    names = [f"{number:02d}.jpg" for number in range(7)]
    for name in names:
        put(tmp_path, f"photographs/{name}", name)

    look = processing("look", TELLS, channel("photographs", "S3Prefix", "s3://b/photographs/"))
    execute(spread(look, machines=3, distribution=distribution))

    hosts = ["algo-1", "algo-2", "algo-3"]
    told = [json.loads((tmp_path / "s3/b/told" / host).read_text()) for host in hosts]
    assert [one["hosts"] for one in told] == [hosts] * 3
    assert len({one["meeting"] for one in told}) == 1
    assert sorted(name for one in told for name in one["files"]) == sorted(names * copies)
    assert all(one["files"] for one in told)


def test_a_machine_that_fails_ends_the_others_and_the_job_in_its_own_words(
    tmp_path: Path, execute: Callable[..., Any]
) -> None:
    (tmp_path / "s3" / "b").mkdir(parents=True)

    began = time.monotonic()
    with pytest.raises(StageError, match="no network") as caught:
        execute(spread(processing("look", SECOND_FAILS), machines=2))

    assert time.monotonic() - began < 45  # the first would have slept for a minute, and its limit is no less
    assert "look.algo-2.log" in caught.value.remedy
    assert (tmp_path / "s3" / "b" / "ended").read_text() == "in time"


def test_what_training_keeps_for_an_interruption_is_there_again(tmp_path: Path, execute: Callable[..., Any]) -> None:
    code = LISTS + "\n(root / 'checkpoints' / 'step').write_text('5')"
    put(tmp_path, "data/x", "1")
    arguments = {
        "AlgorithmSpecification": {"ContainerEntrypoint": ["python", "-c", code], "ContainerArguments": ["training"]},
        "InputDataConfig": [
            {"ChannelName": "data", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}}}
        ],
        "CheckpointConfig": {"S3Uri": "s3://b/kept", "LocalPath": "/opt/ml/checkpoints"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": {"NAME": "train"},
    }
    step = {"Name": "train", "Type": "Training", "Arguments": arguments}

    execute(step)
    first = (tmp_path / "s3" / "b" / "seen" / "train").read_text()
    execute(step)

    assert "input/data/data/x" in first
    assert "input/config/inputdataconfig.json" in first
    assert (tmp_path / "s3" / "b" / "kept" / "step").read_text() == "5"
