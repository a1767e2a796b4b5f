"""Releases on hosted endpoints that nobody hosts: the registry, the driver and all requests are real."""

import json
import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml
from rich.console import Console

from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.body import INFO_ATTRIBUTE
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.validate import validate
from launchers.rollout import Arrived, roll_out
from launchers.rollout_progress import Follower
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.endpoint import SageMakerEndpoint
from launchers.sagemaker.rollout import HostedDriver, endpoints
from tests.conftest import declare
from tests.launchers.release_stand_in import StandIn
from tests.launchers.rollout_kit import FAMILY, make_release
from tests.launchers.sagemaker.fake_aws import Answer, FakeAws

HOSTED = (
    "deployment=sagemaker",
    "aws.region=eu-west-1",
    "aws.bucket=photographs",
    "deployment.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/earthsnap:1",
    "deployment.role=arn:aws:iam::123456789012:role/earthsnap",
    "deployment.stage.tests.load_s=0.1",
)
STAGE, PROD = f"{FAMILY}-stage", f"{FAMILY}-prod"


@cache
def _declared() -> str:
    return declare("status", *HOSTED).model_dump_json(by_alias=True)


def hosted(*changes: str) -> RunSpec:
    """Declared with these changes: values as in YAML, which take less time than overrides on a command line."""
    plain = json.loads(_declared())
    for change in changes:
        key, _, value = change.partition("=")
        *folders, leaf = key.split(".")
        place = plain
        for folder in folders:
            place = place[folder]
        place[leaf] = yaml.safe_load(value)
    return validate(plain)


def three_approved(root: Path) -> Registry:
    """The second release went live after the first, as the registry says; the third waits for its rollout."""
    registry = Registry(root)
    deployments = Deployments(registry.ledger)
    for seed in (1, 2):
        make_release(registry, seed=seed)
        deployments.go_live(deployments.begin(FAMILY, seed, origin="test"), standby=False, origin="test")
    make_release(registry, seed=3)
    return registry


class HostedKit:
    """``answer``: what answers for a release; None: a stand-in that knows the golden answers, and obeys ``tell``."""

    def __init__(self, folder: Path, *overrides: str, family: str = FAMILY, answer: Answer | None = None) -> None:
        self.spec = hosted(f"paths.registry={folder / 'registry'}", *overrides)
        assert isinstance(self.spec.deployment, SageMaker)
        self.on = self.spec.deployment
        self.family = family
        self.folder = folder
        self.registry = Registry(folder / "registry")
        self.deployments = Deployments(self.registry.ledger)
        self.bucket = FolderBucket(folder / "bucket")
        self.orders = folder / "orders"
        self.orders.mkdir(exist_ok=True)
        self.aws = FakeAws(answer or self._answer)

    def copied(self, folder: Path, *overrides: str) -> "HostedKit":
        """Another one where this one stands, differently declared from now on."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        kit = HostedKit(folder, *overrides, family=self.family)
        for name in ("models", "configs", "endpoints", "alarms", "scaling", "asked"):
            setattr(kit.aws, name, deepcopy(getattr(self.aws, name)))
        return kit

    def tell(self, release: str, **orders: object) -> None:
        (self.orders / f"{release}.json").write_text(json.dumps(orders))

    def endpoints(self) -> dict[EndpointName, SageMakerEndpoint]:
        """As a new process has them; time passes at once."""
        return endpoints(
            self.on, self.spec.serving, self.registry, self.family, lambda _: False, aws=self.aws, bucket=self.bucket
        )

    def roll_out(self, release: str) -> Arrived:
        with Follower(Console(width=200)) as follower:
            return roll_out(
                release, self.registry, self.on, self.endpoints(), follower,
                precision=self.spec.serving.precision, origin="test", kind=HostedDriver,
            )  # fmt: skip

    def serves(self, endpoint: str) -> str:
        """The release whose files the endpoint loaded."""
        return self._release_at(self.aws.place(endpoint))

    def _release_at(self, place: str) -> str:
        described = json.loads(self.bucket.read(f"{place}release.json") or b"")
        return f"{described['family']}-{described['number']}"

    @property
    def live(self) -> str:
        return f"{self.family}-{self.deployments.champion(self.family)}"

    def log(self, release: str) -> list[str]:
        return [entry.action for entry in self.registry.ledger.history(release)]

    def _answer(self, place: str, body: bytes, content_type: str, attributes: str | None) -> tuple[int, bytes]:
        stand_in = StandIn(self._release_at(place), self.orders, self.registry.root)
        if attributes == INFO_ATTRIBUTE:
            return 200, json.dumps(stand_in.info(stand_in.told())).encode()
        status, said = stand_in.answer(stand_in.told(), body, content_type)
        return status, json.dumps(said).encode()
