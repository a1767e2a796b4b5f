"""The entry pipeline: a declaration and what it reads from a desk are sent, and our command line runs on them elsewhere."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from earthsnap_train.errors import ConfigError, IntegrityError
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.run import keep_grouping
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import ShowPlan
from earthsnap_train.spec.run import RunSpec
from launchers.sagemaker import places
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.entry_job import lay_out, wandb_key
from launchers.sagemaker.offline import OfflineService
from launchers.sagemaker.places import WANDB_SECRET_VARIABLE
from launchers.sagemaker.send import for_the_entry, send
from tests.conftest import DEMO, Said, draw_folder
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared
from tests.launchers.sagemaker.validator import problems


@pytest.fixture
def desk(tmp_path: Path) -> tuple[RunSpec, Prepared, Store]:
    photographs = draw_folder(tmp_path / "photographs", species={"Rosa/Rosa canina": 6, "Rosa/Rosa rugosa": 6})
    (tmp_path / "table.csv").write_text("species,common_name\nRosa canina,dog rose\nRosa rugosa,beach rose\n")
    spec = declared(
        "name=roses", "dataset=folder", f"dataset.source.root={photographs}", "dataset.source.ranks=[genus]",
        f"dataset.source.species_table={tmp_path / 'table.csv'}", "dataset.min_images_per_species=5",
        "dataset.split.min_per_species=1", "grouping.min_species=1", "launcher.execute=offline", "launcher.wait=false",
        "tracking=none", f"paths.groupings={tmp_path}/groupings", "json=true", "aws.kms_key=alias/photographs",
        "launcher.wandb_secret=earthsnap/wandb",
    ).model_copy(update={"job": ShowPlan(verb="plan")})  # fmt: skip
    store = Store(tmp_path / "store")
    prepared = prepare(spec, store)
    keep_grouping(spec, prepared)
    return spec, prepared, store


@pytest.mark.slow
def test_what_was_sent_gives_the_same_plan_there(
    desk: tuple[RunSpec, Prepared, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, prepared, store = desk
    launcher = spec.launcher.model_copy(update={"wandb_secret": None, "kms_key": None})  # type: ignore[union-attr]
    spec = spec.model_copy(update={"launcher": launcher})
    bucket, s3 = FolderBucket(tmp_path / "s3" / "photographs"), tmp_path / "s3"
    service = OfflineService(tmp_path / "service", s3=s3)

    sent = send(spec, prepared, store, bucket, service, run="here-1")

    for _ in range(1200):
        progress = service.progress(sent.execution)
        if not progress.is_running:
            break
        time.sleep(0.1)
    assert progress.status == "Succeeded", service.log(f"{sent.execution}/conduct", 40)
    (file,) = (tmp_path / "service" / "executions").glob("roses/*/logs/conduct.log")
    told = json.loads(file.read_text())
    assert told["stages"]["ingest"]["key"] == prepared.states["ingest"].key
    assert told["nodes"] == list(prepared.plan.nodes)
    home = bucket.root / "earthsnap" / "runs" / "here-1" / "home"
    assert (home / "groupings" / "roses.lock.yaml").read_text() == (tmp_path / "groupings/roses.lock.yaml").read_text()
    assert (home / "pipelines" / "roses-data.json").is_file()
    again = send(spec, prepared, store, bucket, service, run="here-1")
    assert again.execution == sent.execution  # one that is sent twice is started once


def test_a_secret_is_named_and_never_sent(desk: tuple[RunSpec, Prepared, Store], tmp_path: Path) -> None:
    spec, prepared, store = desk
    service = OfflineService(tmp_path / "service", s3=tmp_path / "s3")

    class Starts(OfflineService):
        def start(self, pipeline: str, parameters: Any, **more: Any) -> str:
            return "one"

    starts = Starts(service.root, s3=service.s3)
    send(spec, prepared, store, FolderBucket(tmp_path / "s3" / "photographs"), starts, run="here-1")

    definition = service.definition("roses")
    assert definition is not None
    assert problems(definition) == []
    environment = json.loads(definition)["Steps"][0]["Arguments"]["Environment"]
    assert environment["EARTHSNAP_WANDB_SECRET"] == "earthsnap/wandb"
    assert "WANDB_API_KEY" not in definition
    secret = declared(*DEMO, "deployment.messages.webhook=https://example.org/hook")
    with pytest.raises(ConfigError, match=r"deployment\.messages\.webhook"):
        for_the_entry(secret, {}, {})


@pytest.mark.parametrize("held", ["0123456789", '{"key": "0123456789"}', "", '{"one": "1", "two": "2"}'])
def test_the_key_to_wandb_is_what_the_secret_holds(held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    assert wandb_key() is None
    monkeypatch.setenv(WANDB_SECRET_VARIABLE, "earthsnap/wandb")
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="earthsnap/wandb", SecretString=held or " ")
        if "0123456789" in held:
            assert wandb_key() == "0123456789"
        else:
            with pytest.raises(ConfigError, match="holds no key to W&B"):
                wandb_key()


def test_a_run_that_nobody_waits_for_is_started_with_links(
    earthsnap: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        boto3.client("s3").create_bucket(
            Bucket="photographs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        boto3.client("sagemaker").create_pipeline(  # that there is none, moto says with another error than the service
            PipelineName="plants-debug", PipelineDefinition="{}", ClientRequestToken="t" * 32,
            RoleArn="arn:aws:iam::123456789012:role/earthsnap",
        )  # fmt: skip
        said = earthsnap(*DEMO, *ON_SAGEMAKER, "launcher.wait=false")
        started = boto3.client("sagemaker").list_pipeline_executions(PipelineName="plants-debug")

    assert said.code == 0, said.err
    arn = started["PipelineExecutionSummaries"][0]["PipelineExecutionArn"]
    assert "https://eu-west-1.console.aws.amazon.com/sagemaker/home" in said.out
    (folder,) = (tmp_path / "outputs" / "plants-debug").iterdir()
    assert f"earthsnap stop run={folder.name}" in said.out
    assert json.loads((folder / "events.jsonl").read_text())["execution"] == arn


def test_what_runs_here_cannot_go_on_without_its_command(earthsnap: Callable[..., Said]) -> None:
    refused = earthsnap(*DEMO, *ON_SAGEMAKER, "launcher.execute=offline", "launcher.wait=false")

    assert refused.code == 2
    assert "launcher.wait: what runs on this machine ends with the command that started it" in refused.err


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "this is no declaration"), ("{", "this is no declaration"), ("{}", "no value was given")],
)
def test_a_file_that_is_no_declaration_is_refused(
    content: str | None, said: str, earthsnap: Callable[..., Said], tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "declaration.json").write_text(content)

    refused = earthsnap("--declaration", "declaration.json")

    assert refused.code == 2
    assert said in refused.err
    assert "one file and nothing beside it" in earthsnap("--declaration", "declaration.json", "seed=1").err


@pytest.mark.parametrize(
    ("outside", "said"),
    [
        ({"../../outputs": "externals/photographs/1"}, "is nothing that a declaration is sent with"),
        ({"photographs": "../../../etc"}, "is no path below a folder"),
        ({"photographs": "/etc"}, "is no path below a folder"),
    ],
)
def test_what_was_sent_stays_where_it_was_sent_to(outside: dict[str, str], said: str, tmp_path: Path) -> None:
    sent = tmp_path / "channel" / "declarations" / "1"
    sent.mkdir(parents=True)
    (sent / places.DECLARATION_FILE).write_text("{}")
    (sent / places.OUTSIDE_FILE).write_text(json.dumps(outside))

    with pytest.raises(IntegrityError, match=said):
        lay_out(tmp_path / "channel", tmp_path / "ml" / "home")
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
