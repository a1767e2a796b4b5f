"""Events about model packages: late, twice, out of order, each acts on its own release or not at all."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from earthsnap_train.errors import NotFoundError
from earthsnap_train.release.catalogue import Decision
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.rollout import asked_for
from launchers.sagemaker.package import Package, describe, release_of
from launchers.sagemaker.packages import Packages
from tests.conftest import Said
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND, THIRD, make_release
from tests.launchers.sagemaker.hosted_kit import three_approved
from tests.release.page import Page

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/plants-release/2"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return three_approved(tmp_path / "registry")


def is_asked_for(registry: Registry, release: str) -> bool:
    deployments = Deployments(registry.ledger)
    approved = {one.name for one in registry.releases() if one.state == "Approved"}
    champion = f"{FAMILY}-{deployments.champion(FAMILY)}"
    return asked_for(release, registry.ledger.history(), approved, champion, deployments.under_way(FAMILY))


def test_an_event_asks_for_its_own_release_and_for_none_that_was_live_before(registry: Registry) -> None:
    assert is_asked_for(registry, THIRD)
    assert is_asked_for(registry, SECOND)  # it is live: to be seen that it is served
    assert not is_asked_for(registry, FIRST)


def test_an_event_that_comes_after_a_later_releases_rollout_asks_for_nothing(registry: Registry) -> None:
    make_release(registry, seed=4)
    Deployments(registry.ledger).begin(FAMILY, 4, origin="test")

    assert is_asked_for(registry, f"{FAMILY}-4")  # again, or after a kill: it goes on
    assert not is_asked_for(registry, THIRD)


def test_an_event_about_a_release_that_failed_its_rollout_does_not_begin_it_anew(registry: Registry) -> None:
    deployments = Deployments(registry.ledger)
    deployments.fail(deployments.begin(FAMILY, 3, origin="test"), "too slow", origin="test")

    assert not is_asked_for(registry, THIRD)


# ---- which release


@pytest.fixture
def packages() -> Packages:
    return Packages(region="eu-west-1", tags={})


def package(**changes: str | None) -> Package:
    about = {"arn": ARN, "status": "Approved", "why": "", "digest": "d", "family": None, "number": None}
    return Package.model_validate(about | changes)


def test_a_package_is_the_release_of_its_digest(registry: Registry) -> None:
    second = registry.get(SECOND)
    assert release_of(package(digest=second.digest, number="2"), registry) == second
    with pytest.raises(NotFoundError, match="no release here has the digest"):
        release_of(package(digest=second.digest, number="3"), registry)
    with pytest.raises(NotFoundError, match="no release here has the digest"):
        release_of(package(digest=second.digest, family="animals"), registry)


def test_a_package_of_one_family_needs_no_look_at_another(registry: Registry) -> None:
    second, page = registry.get(SECOND), Page()
    make_release(registry, family="birds")
    shared = Registry(registry.root, catalogue=page)
    page.entries = {number: Decision(state="Approved", who="", why="") for number in (1, 2, 3)}

    assert release_of(package(digest=second.digest, family=FAMILY), shared).name == SECOND
    assert page.asked == [FAMILY]


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_a_package_that_is_not_there_is_refused(packages: Packages, code: str) -> None:
    with Stubber(packages._client) as stub:
        stub.add_client_error("describe_model_package", code, f"ModelPackage {ARN} does not exist")
        with pytest.raises(NotFoundError, match="there is no such model package") as caught:
            describe(packages, ARN)
    assert caught.value.where == f"package={ARN}"


def test_a_package_that_stands_for_no_release_is_refused(packages: Packages) -> None:
    said = {
        "ModelPackageName": "x", "ModelPackageArn": ARN, "CreationTime": datetime.now(UTC), "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []}, "ModelApprovalStatus": "Approved",
    }  # fmt: skip
    with Stubber(packages._client) as stub:
        stub.add_response("describe_model_package", said, {"ModelPackageName": ARN})
        with pytest.raises(NotFoundError, match="it does not say a digest"):
            describe(packages, ARN)


# ---- the verb, against moto's Model Registry


def registered(digest: str, status: str) -> str:
    client = boto3.client("sagemaker", region_name="eu-west-1")
    client.create_model_package_group(ModelPackageGroupName="plants-release")
    made = client.create_model_package(
        ModelPackageGroupName="plants-release", ModelApprovalStatus=status,
        CustomerMetadataProperties={"digest": digest, "family": FAMILY},
    )  # fmt: skip
    return str(made["ModelPackageArn"])


@pytest.fixture
def earthsnap_here(
    earthsnap: Callable[..., Said], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    return lambda *typed: earthsnap("rollout", *typed, f"paths.registry={registry.root}", "tracking=none", "--json")


def test_a_package_that_was_rejected_takes_its_release_out_of_production(
    earthsnap_here: Callable[..., Said], registry: Registry
) -> None:
    with mock_aws():
        arn = registered(registry.get(SECOND).digest, "Rejected")
        said = earthsnap_here(f"package={arn}")
        again = earthsnap_here(f"package={arn}")

    assert said.json == {"release": SECOND, "at": "rejected", "live": FIRST}
    assert again.json == said.json
    assert registry.get(SECOND).state == "Rejected"
    assert [entry.action for entry in registry.ledger.history(SECOND)][-2:] == ["rejected", "rolled back"]


def test_a_late_event_about_an_older_release_changes_nothing(
    earthsnap_here: Callable[..., Said], registry: Registry
) -> None:
    before = registry.ledger.history()
    with mock_aws():
        said = earthsnap_here(f"package={registered(registry.get(FIRST).digest, 'Approved')}")

    assert (said.code, said.json) == (0, {"release": FIRST, "at": None})
    assert registry.ledger.history() == before


def test_a_release_or_a_package_has_to_be_said_and_not_both(earthsnap_here: Callable[..., Said]) -> None:
    for typed in ((), (f"release={FIRST}", f"package={ARN}")):
        said = earthsnap_here(*typed)
        assert said.code == 2
        assert "either a release or a package" in said.err
