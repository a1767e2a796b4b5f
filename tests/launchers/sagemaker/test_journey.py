"""From a stack to a release that is live and is taken back: our own commands against moto's server, and what they may call.

What moto lacks is answered in its place by ``hosted_there``.
"""

import io
import json
import signal
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.__main__ import run_command
from earthsnap_train.errors import StageError
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.verbs.opening import open_registry
from launchers.sagemaker.account import account as account_of
from launchers.sagemaker.conductor import Conductor
from launchers.sagemaker.infrastructure.builds import rollout_command, start_command
from launchers.sagemaker.infrastructure.site import Principal
from launchers.sagemaker.service_aws import AwsService
from tests.conftest import declare, draw_folder
from tests.launchers.rollout_kit import make_release
from tests.launchers.sagemaker.account import ACCOUNT, IMAGE, REGION, Account
from tests.launchers.sagemaker.bridge import argv, environment, split
from tests.launchers.sagemaker.decided import event, messages, tapped
from tests.launchers.sagemaker.hosted_there import Hosted
from tests.launchers.sagemaker.infrastructure.declared_sites import CONNECTION, ONE, site
from tests.launchers.sagemaker.recorded import Call, recording, unlike_the_table
from tests.release.bundles import register

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse")]

SITE = site(
    *ONE,
    "aws.tags={team: botany, cost\\:center: a b}",
    f"infra.repository={{connection: '{CONNECTION}', url: 'https://github.com/botany/plants', branch: main}}",
    "infra.sources=[walks]",
    "infra.declaration=['+experiment=plants','dataset=s3','dataset.source.bucket=walks','dataset.source.ranks=[genus]',"
    "'dataset.source.species_table=names.csv','dataset.min_images_per_species=5','dataset.split.min_per_species=1',"
    "'grouping.min_species=1','tracking=none','deployment.stage.tests.load_s=0.1']",
)
SERVICES = ("application-autoscaling", "cloudwatch", "iam", "logs", "s3", "sagemaker")
# Calls for which nothing on moto gives cause, and where they are made instead.
ELSEWHERE = {
    "conductor": {
        "logs:GetLogEvents": "no job runs, and none has a log: test_service_aws",
        "sagemaker:DescribeProcessingJob": "none is at work: test_service_aws",
        "sagemaker:DescribeTrainingJob": "none is at work: test_service_aws",
        "sagemaker:StopPipelineExecution": "moto does not know it: test_service_aws, test_stop",
    },
    "rollout": {
        "application-autoscaling:DeleteScheduledAction": "no floor is declared: test_aws",
        "application-autoscaling:PutScheduledAction": "no floor is declared: test_aws",
        "cloudwatch:DescribeAlarmHistory": "no update goes back: test_aws, test_rollout",
        "cloudwatch:GetMetricData": "no release answers unseen: test_rollout",
        "cloudwatch:SetAlarmState": "no update takes so long that one could call it back: test_aws, test_rollout",
        "sagemaker:DeleteEndpoint": "every endpoint starts: test_rollout",
        "sagemaker:UpdateModelPackage": "no decision is the registry's to tell, for all came from there: test_registry",
    },
}


def run(words: Sequence[str]) -> Any:
    """The command of a build, in this process, as JSON."""
    assert list(words[:3]) == ["python", "-m", "earthsnap_train"]
    with redirect_stdout(io.StringIO()) as said:
        code = run_command([*words[3:], "--json"])
    assert code == 0, said.getvalue()
    return json.loads(said.getvalue())


def start_words(image: str) -> list[str]:
    """Of our own command line, inside of the container that the build starts."""
    words = split(start_command(SITE), environment(SITE, "Build") | {"IMAGE": image})
    return ["python", *words[words.index("-m") :]]


@dataclass(frozen=True, kw_only=True)
class State:
    """All that a rollout may move. ``updates``: of which endpoints, so far."""

    champion: int | None
    stage: str
    prod: str
    updates: tuple[str, ...]
    log: tuple[tuple[str, str], ...]
    num_models: int
    num_configs: int


@dataclass
class Journey:
    """One account, from its first stack on."""

    account: Account
    hosted: Hosted
    queue: str
    calls: dict[str, list[Call]] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        """As somebody opens it who only looks; anew each time, for a look may be answered by one of a second ago."""
        return open_registry(declare(*rollout_words()))

    def package(self, number: int) -> dict[str, Any]:
        sagemaker = self.account.client("sagemaker")
        listed = sagemaker.list_model_packages(ModelPackageGroupName="plants-release")["ModelPackageSummaryList"]
        (arn,) = (one["ModelPackageArn"] for one in listed if one["ModelPackageVersion"] == number)
        found: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=arn)
        return found

    def decide(self, number: int, status: str, why: str) -> dict[str, Any]:
        """As a person does in Studio; returns the event, which moto does not send."""
        package = self.package(number)
        arn, kept = package["ModelPackageArn"], package["CustomerMetadataProperties"]  # moto forgets them otherwise
        self.account.client("sagemaker").update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=why, CustomerMetadataProperties=kept
        )
        return event(ModelPackageArn=arn, ModelPackageVersion=number, ModelApprovalStatus=status)

    def tell(self, name: str, told: dict[str, Any]) -> None:
        """Has the event happen, and the build that it starts."""
        (message,) = messages(self.queue, told)
        with recording() as calls:
            self.said[name] = run(argv(message, SITE))
        self.calls.setdefault("rollout", []).extend(calls)
        self.states[name] = self._state()

    def _state(self) -> State:
        ledger = self.registry.ledger
        there = self.account.client("sagemaker")
        return State(
            champion=Deployments(ledger).champion("plants"),
            stage=self.hosted.serves("plants-stage"),
            prod=self.hosted.serves("plants-prod"),
            updates=tuple(self.hosted.updates),
            log=tuple((entry.release, entry.action) for entry in ledger.history()),
            num_models=len(there.list_models()["Models"]),
            num_configs=len(there.list_endpoint_configs()["EndpointConfigs"]),
        )


def rollout_words() -> list[str]:
    """Typed after the program's name, less the package."""
    words = split(rollout_command(SITE), environment(SITE))[3:]
    return [words[0], *words[2:]]


@pytest.fixture(scope="module")
def journey(moto: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    urllib.request.urlopen(urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")).close()
    moto.cut_after = None
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("journey"))
            patch.setattr("sys.argv", ["earthsnap"])
            for name, value in {**moto.environment, "HYDRA_FULL_ERROR": "1"}.items():
                patch.setenv(name, value)
            moto.instead = hosted = Hosted(Path("containers").absolute())
            _photographs(moto)
            journey = Journey(moto, hosted, tapped(SITE))
            _build(journey)
            _conduct(journey)
            _decide(journey)
            yield journey
    finally:
        moto.instead = lambda environ: None
        for number, handler in before.items():
            signal.signal(number, handler)


def _photographs(moto: Account) -> None:
    """In a bucket of their own; a table of names comes with the code that is pushed."""
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="walks", CreateBucketConfiguration={"LocationConstraint": REGION})
    root = draw_folder(Path("walks"), species={"Rosa/Rosa canina": 6, "Rosa/Rosa rugosa": 6})
    for file in sorted(root.rglob("*.png")):
        s3.put_object(Bucket="walks", Key=file.relative_to(root).as_posix(), Body=file.read_bytes())
    Path("names.csv").write_text("species,common_name\nRosa canina,dog rose\nRosa rugosa,beach rose\n")


def _build(journey: Journey) -> None:
    with recording() as journey.calls["build"]:
        journey.said["first push"] = run(start_words(IMAGE))
        journey.said["second push"] = run(start_words(f"{IMAGE}1"))


def _conduct(journey: Journey) -> None:
    """What the entry pipeline's job does: begins a run, whose first job fails; and registers what others had made."""
    spec = declare(*start_words(IMAGE)[3:], "launcher.max_instances={ml.m5.xlarge: 8}")
    assert isinstance(spec.launcher, SageMaker)
    store = Store(Path("conductor"))
    journey.hosted.fails = ("ingest", "no such image")
    with recording() as journey.calls["conductor"]:
        prepared = prepare(spec, store)
        with account_of(spec.launcher, Path("account")) as (bucket, service):
            assert isinstance(service, AwsService)
            service.look_every_s = 0.0
            service.put("plants-data", "{}", role=spec.launcher.role)  # as an earlier run had it
            conductor = Conductor(prepared.plan, spec.launcher, store, bucket, service, lambda event: None)
            with pytest.raises(StageError) as caught:
                conductor.go(prepared.places, None)
            journey.said["conducted"] = caught.value
            assert service.definition("plants-data") == conductor.compiled.definitions["plants-data"]
        registry = open_registry(spec)
        make_release(registry, seed=1, approved=False)
        make_release(registry, seed=2, approved=False)
        register(registry, 3, "top1 0.4 is below 0.9")


def _decide(journey: Journey) -> None:
    shown = ["python", "-m", "earthsnap_train", "status", *rollout_words()[1:]]
    journey.said["registered"] = run(shown)["releases"]
    first = journey.decide(1, "Approved", "good enough")
    journey.tell("first", first)
    journey.tell("first again", first)
    second = journey.decide(2, "Approved", "better")
    journey.tell("second", second)
    journey.tell("first, late", first)
    rejected = journey.decide(2, "Rejected", "names roses wrongly")
    journey.tell("rejected", rejected)
    journey.tell("rejected again", rejected)


def test_a_push_starts_the_entry_pipeline_whose_image_the_next_push_changes(journey: Journey) -> None:
    pipeline = journey.account.client("sagemaker").describe_pipeline(PipelineName="plants")

    (step,) = json.loads(pipeline["PipelineDefinition"])["Steps"]
    assert step["Arguments"]["AppSpecification"]["ImageUri"] == f"{IMAGE}1"
    assert step["Arguments"]["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/plants-conductor"
    assert {"Key": "cost:center", "Value": "a b"} in step["Arguments"]["Tags"]
    assert journey.said["first push"]["execution"] != journey.said["second push"]["execution"]


def test_a_conductor_tells_why_the_first_job_failed(journey: Journey) -> None:
    error = journey.said["conducted"]

    assert (error.what, error.where) == ("no such image", "ingest")


def test_what_is_registered_waits_for_a_person_unless_gates_rejected_it(journey: Journey) -> None:
    stands = {one["name"]: one["stands"] for one in journey.said["registered"]}

    assert stands == {
        "plants-1": "waits for approval",
        "plants-2": "waits for approval",
        "plants-3": "rejected by its gates",
    }


def test_approvals_go_live_one_after_the_other_and_a_rejection_brings_back_the_one_before(journey: Journey) -> None:
    first, second, rejected = (journey.states[name] for name in ("first", "second", "rejected"))

    assert [(one.champion, one.stage, one.prod) for one in (first, second, rejected)] == [
        (1, "plants-1", "plants-1"), (2, "plants-2", "plants-2"), (1, "plants-2", "plants-1"),
    ]  # fmt: skip
    assert first.updates == ()
    assert second.updates == ("plants-stage", "plants-prod")
    assert rejected.updates == (*second.updates, "plants-prod")
    assert [action for release, action in second.log if release == "plants-2"] == [
        "registered", "approved", "staged", "tests passed", "canary", "canary", "live",
    ]  # fmt: skip
    assert journey.said["rejected"] == {"release": "plants-2", "at": "rejected", "live": "plants-1"}


def test_events_that_come_twice_or_late_change_nothing(journey: Journey) -> None:
    for again, before in (("first again", "first"), ("first, late", "second"), ("rejected again", "rejected")):
        assert journey.states[again] == journey.states[before], again
    assert journey.said["first, late"] == {"release": "plants-1", "at": None}


@pytest.mark.parametrize("who", ["build", "conductor", "rollout"])
def test_each_role_may_exactly_what_it_does(who: Principal, journey: Journey) -> None:
    unlike = unlike_the_table(journey.calls[who], SITE, who, services=SERVICES)

    assert unlike == sorted(f"{who} may {action}, and never did" for action in ELSEWHERE.get(who, ()))
