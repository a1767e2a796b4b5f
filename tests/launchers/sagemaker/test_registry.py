"""Releases in SageMaker's Model Registry: what it is told of them, and that people may decide there, here or in the console."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.console.app import make_desk
from earthsnap_train.console.server import listen, make_server
from earthsnap_train.errors import ConfigError, EarthsnapError, EnvironmentProblem, IntegrityError
from earthsnap_train.models.family import Node
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.serving.front_command import endpoint_command
from earthsnap_train.spec.registry import SageMakerRegistry
from earthsnap_train.verbs.opening import open_registry
from launchers.sagemaker import package_requests
from launchers.sagemaker.bucket import S3Bucket
from launchers.sagemaker.ledger import BucketLedger
from launchers.sagemaker.locks import BucketLocks
from launchers.sagemaker.packages import Packages
from launchers.sagemaker.registry import ModelRegistry, node_group, release_group
from tests.conftest import DEMO, FinishedRun, Said, declare
from tests.console.conftest import Browser
from tests.launchers.sagemaker.account import BUCKET, IMAGE, REGION, Account
from tests.launchers.sagemaker.shapes import problems_of, request
from tests.release.bundles import bundle, register

Command = Callable[..., Said]
ON_SAGEMAKER = (
    "registry=sagemaker", f"aws.region={REGION}", f"aws.bucket={BUCKET}", "aws.tags.team=botany",
    f"registry.serve_image={IMAGE}",
)  # fmt: skip


@pytest.fixture
def open_one(account: Account, tmp_path: Path) -> Callable[[str], Registry]:
    """That of a machine of this name, which has a folder of its own."""
    spec = declare("releases", *ON_SAGEMAKER)

    def open_it(machine: str) -> Registry:
        paths = spec.paths.model_copy(update={"registry": str(tmp_path / machine / "registry")})
        return open_registry(spec.model_copy(update={"paths": paths}))

    return open_it


@pytest.fixture
def registry(open_one: Callable[[str], Registry]) -> Registry:
    return open_one("here")


def packages(account: Account, group: str = "plants-release") -> list[Any]:
    """Newest last."""
    listed = account.client("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    return sorted(listed, key=lambda one: one["ModelPackageVersion"])


def described(account: Account, version: int, group: str = "plants-release") -> Any:
    arn = packages(account, group)[version - 1]["ModelPackageArn"]
    return account.client("sagemaker").describe_model_package(ModelPackageName=arn)


def decide_there(account: Account, version: int, status: str, why: str = "") -> None:
    """As Studio does it, which says nothing of our metadata."""
    account.client("sagemaker").update_model_package(
        ModelPackageArn=described(account, version)["ModelPackageArn"],
        ModelApprovalStatus=status,
        ApprovalDescription=why,
    )


def of_two_nodes(folder: Path, *, child: str) -> Path:
    """A family whose child alone differs."""
    bundle(folder)
    family = json.loads((folder / "family.json").read_text())
    node = family["nodes"].pop("flat")
    (folder / "nodes" / "flat.onnx").rename(folder / "nodes" / "parent.onnx")
    (folder / "nodes" / "child--rosaceae.onnx").write_bytes(child.encode())
    own = {"targets": "species", "head": hashlib.sha256(child.encode()).hexdigest()}
    family |= {
        "architecture": "parent_child",
        "nodes": {"parent": node | {"targets": "groups", "classes": ["rosaceae"]}},
    }
    family["nodes"]["child/rosaceae"] = node | own
    (folder / "family.json").write_text(json.dumps(family))
    return folder


def put(registry: Registry, made: Path, *reasons: str) -> Release:
    return registry.register("plants", release_digest(made), made, reasons=reasons, summary={"top1": 0.9}, lineage={})[
        0
    ]


# ---- what is registered


def test_a_release_is_a_package_whose_files_and_figures_lie_in_the_bucket(registry: Registry, account: Account) -> None:
    release = register(registry, 1)

    package = described(account, 1)
    (container,) = package["InferenceSpecification"]["Containers"]
    source = container["ModelDataSource"]["S3DataSource"]
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    bucket = S3Bucket(BUCKET, kms_key=None, region=REGION)
    folder = source["S3Uri"].removeprefix(f"s3://{BUCKET}/")
    assert (release.name, release.state) == ("plants-1", "PendingApproval")
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert (container["Image"], source["S3DataType"], source["CompressionType"]) == (IMAGE, "S3Prefix", "None")
    assert set(release_files(release.path)) <= {key.removeprefix(folder) for key in bucket.listed(folder)}
    for name, content in release_files(release.path).items():
        assert bucket.read(f"{folder}{name}") == content
    figures = json.loads(bucket.read(statistics.removeprefix(f"s3://{BUCKET}/")) or b"")
    assert figures["multiclass_classification_metrics"]["top1"]["value"] == 0.9
    assert package["CustomerMetadataProperties"]["digest"] == release.digest
    assert package["CustomerMetadataProperties"]["dataset"] == "d" * 64
    group = account.client("sagemaker").describe_model_package_group(ModelPackageGroupName="plants-release")
    tags = account.client("sagemaker").list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "botany"}]


def release_files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_gates_rejected_is_rejected_there_for_their_reasons(registry: Registry, account: Account) -> None:
    register(registry, 1, "family.top1 is only 0.2", "too slow")

    package = described(account, 1)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert package["ApprovalDescription"] == "family.top1 is only 0.2; too slow"
    assert package["CustomerMetadataProperties"]["family"] == "plants"


def test_a_node_that_missed_its_gate_is_rejected_for_that_and_no_other_node_is(
    registry: Registry, account: Account, tmp_path: Path
) -> None:
    why = "nodes.child/rosaceae.top1 is only 0.2; at least 0.5 is required"
    put(registry, of_two_nodes(tmp_path / "one", child="first"), "family.top1 is only 0.3", why)

    child = described(account, 1, node_group("plants", "child/rosaceae"))
    parent = described(account, 1, "plants-parent")
    assert (child["ModelApprovalStatus"], child["ApprovalDescription"]) == ("Rejected", why)
    assert (parent["ModelApprovalStatus"], parent.get("ApprovalDescription")) == ("PendingManualApproval", None)


def test_a_release_says_which_package_each_node_is_and_an_unchanged_node_keeps_its_own(
    registry: Registry, account: Account, tmp_path: Path
) -> None:
    first = put(registry, of_two_nodes(tmp_path / "one", child="first"))
    second = put(registry, of_two_nodes(tmp_path / "two", child="second"))

    made_of = [json.loads((one.path / "packages.json").read_text()) for one in (first, second)]
    assert made_of[0]["parent"] == made_of[1]["parent"] == packages(account, "plants-parent")[0]["ModelPackageArn"]
    children = [one["ModelPackageArn"] for one in packages(account, node_group("plants", "child/rosaceae"))]
    assert [one["child/rosaceae"] for one in made_of] == children
    assert len(packages(account, "plants-parent")) == 1
    head = described(account, 2, "plants-child-rosaceae")["InferenceSpecification"]["Containers"][0]["ModelDataSource"]
    key = head["S3DataSource"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")
    assert S3Bucket(BUCKET, kms_key=None, region=REGION).read(key) == b"second"
    assert head["S3DataSource"]["S3DataType"] == "S3Object"


def test_requests_are_what_the_service_takes_with_enums_patterns_and_lengths() -> None:
    long = "s3://photographs/earthsnap/registry/plants/abc/"
    nodes = {
        f"child/group-{n}": f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/plants-{n}/1" for n in range(51)
    }
    made = package_requests.release_package(
        image=IMAGE, uri=long, state="Rejected", family="plants", digest="d" * 64, summary={"top1": 0.5},
        lineage={"dataset": "x" * 300, "code": "0.1.0+odd (local)", "plan": ""}, nodes=nodes, statistics="statistics.json",
        nodes_file="packages.json",
    )  # fmt: skip
    node = Node(targets="species", classes=("a",), temperature=1, trunk="t" * 64, head="h" * 64, trunk_multiply_adds=1,
                head_multiply_adds=1)  # fmt: skip
    of_node = package_requests.node_package(
        image=IMAGE, head=f"{long}nodes/parent.onnx", node=node, digest="d" * 64, state="PendingApproval"
    )

    for one in (made, of_node):
        whole = {"ModelPackageGroupName": "plants-release", "ModelPackageDescription": "release", **one}
        assert list(problems_of(whole, request("CreateModelPackage"))) == []
    card = json.loads(made["ModelCard"]["ModelCardContent"])  # type: ignore[index]
    assert card["model_overview"]["model_artifact"] == [long]
    assert card["additional_information"]["custom_details"]["package of child/group-50"] == nodes["child/group-50"]


@pytest.mark.parametrize("name", ["plants", "p" * 63, "a.b_c", "x--y", "plants-child"])
def test_groups_have_names_that_the_service_takes(name: str) -> None:
    for group in (release_group(name), node_group(name, "child/some_group.of-mine")):
        asked = {"ModelPackageGroupName": group}
        assert list(problems_of(asked, request("CreateModelPackageGroup"))) == []


def test_a_group_of_somebody_elses_is_not_written_to(registry: Registry, account: Account) -> None:
    account.client("sagemaker").create_model_package_group(
        ModelPackageGroupName="plants-release", ModelPackageGroupDescription="tomatoes"
    )

    with pytest.raises(ConfigError, match="plants-release is there already, and is about something else: tomatoes"):
        register(registry, 1)
    assert packages(account) == []
    assert registry.releases() == []


# ---- once, whoever is killed


def test_another_machine_that_registers_the_same_finds_it(
    open_one: Callable[[str], Registry], account: Account
) -> None:
    register(open_one("here"), 1)
    again = register(open_one("there"), 1)

    assert again.name == "plants-1"
    assert len(packages(account)) == 1
    assert [e.action for e in open_one("here").ledger.history()] == ["registered"]


@pytest.fixture
def impatient(account: Account) -> Callable[[Path], Registry]:
    """As ``open_registry``, but with locks that nobody waits for: whoever held them is dead."""
    spec = declare("releases", *ON_SAGEMAKER).registry
    assert isinstance(spec, SageMakerRegistry)
    bucket = S3Bucket(BUCKET, kms_key=None, region=REGION)
    place = f"{spec.prefix}/registry"
    locks = BucketLocks(bucket, f"{place}/locks", expires_s=-1)
    packages = Packages(region=REGION, tags={})

    def open_it(root: Path) -> Registry:
        ledger = BucketLedger(bucket, f"{place}/registry.sqlite", locks)
        return Registry(root, ledger=ledger, locks=locks, catalogue=ModelRegistry(spec, bucket, packages))

    return open_it


@pytest.mark.slow
def test_whoever_is_killed_while_registering_is_followed_by_one_who_registers_it_once(
    impatient: Callable[[Path], Registry], account: Account, tmp_path: Path
) -> None:
    """Cut off after each of the changes that registering makes."""
    number, was_cut = 0, True
    while was_cut:
        number += 1
        account.num_changes, account.cut_after = 0, number
        try:
            register(impatient(tmp_path / "registry"), number)
            was_cut = False
        except EarthsnapError:
            account.cut_after = None
            assert register(impatient(tmp_path / "other" / "registry"), number).number == number
        account.cut_after = None
        assert len(packages(account)) == number
    assert number > 10, "hardly anything was cut"

    registry = impatient(tmp_path / "last" / "registry")
    log = [entry.release for entry in registry.ledger.history() if entry.action == "registered"]
    assert log == [f"plants-{one}" for one in range(1, number + 1)]
    for release in registry.releases()[-3:]:
        assert json.loads((release.path / "release.json").read_text())["number"] == release.number


# ---- the files


def test_files_are_brought_where_they_are_needed_and_follow_what_is_attached(
    open_one: Callable[[str], Registry], tmp_path: Path
) -> None:
    here, there = open_one("here"), open_one("there")
    release = register(here, 1)
    here.attach_report(release, "first")
    here.attach_report(release, "second")

    (elsewhere,) = there.releases()
    assert not elsewhere.folder.exists()
    assert {
        name: content for name, content in release_files(elsewhere.path).items() if name != "report/report.html"
    } == {
        name: content for name, content in release_files(register(here, 1).path).items() if name != "report/report.html"
    }
    assert (elsewhere.path / "report" / "report.html").read_text() == "first"
    there.attach_report(elsewhere, "third")
    there.attach(elsewhere, "report/NOTES.md", b"notes")
    assert (open_one("third").get("plants-1").path / "report" / "report.html").read_text() == "first"
    assert (open_one("here").get("plants-1").path / "report" / "NOTES.md").read_text() == "notes"


def test_files_that_are_not_what_was_registered_are_refused(
    open_one: Callable[[str], Registry], account: Account
) -> None:
    release = register(open_one("here"), 1)
    bucket = S3Bucket(BUCKET, kms_key=None, region=REGION)
    folder = f"earthsnap/registry/plants/{release.digest[:40]}"
    good = bucket.read(f"{folder}/nodes/flat.onnx") or b""
    bucket.write(f"{folder}/nodes/flat.onnx", b"changed")

    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"nodes/flat.onnx is not what was registered"):
            _ = open_one("there").get("plants-1").path
    bucket.write(f"{folder}/nodes/flat.onnx", good)
    bucket.write(f"{folder}/../../outside", b"x")
    with pytest.raises(IntegrityError, match="is no file of a release"):
        _ = open_one("there").get("plants-1").path
    bucket.remove(f"{folder}/../../outside")
    bucket.remove(f"{folder}/release.json")
    with pytest.raises(IntegrityError, match="plants-1 is not in the bucket, or not whole"):
        _ = open_one("there").get("plants-1").path


def test_what_is_forgotten_here_is_gone_from_the_bucket_and_from_other_machines(
    open_one: Callable[[str], Registry], account: Account
) -> None:
    here = open_one("here")
    release = register(here, 1)
    here.attach(release, "report/page.html", b"its picture")
    here.attach(release, "evaluation/predictions.json", b"its picture too")
    other = open_one("there").get("plants-1").path
    assert (other / "report" / "page.html").exists()

    (release.path / "report" / "page.html").unlink()
    (release.folder / "evaluation" / "predictions.json").write_bytes(b"others")
    here.erase(release)

    s3, prefix = account.client("s3"), f"earthsnap/registry/plants/{release.digest[:40]}/"
    left = s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    assert left.get("DeleteMarkers", []) == []
    names = [one["Key"].removeprefix(prefix) for one in left["Versions"]]
    assert len(names) == len(set(names))
    assert "report/page.html" not in names
    again = open_one("there").get("plants-1").path
    assert not (again / "report" / "page.html").exists()
    assert (again / "evaluation" / "predictions.json").read_bytes() == b"others"


# ---- people decide


@pytest.fixture
def browser(registry: Registry) -> Iterator[Browser]:
    deployment = declare("console", "deployment.prod.port=1", "deployment.stage.port=2").deployment
    desk = make_desk(registry, deployment, is_local=True)
    listening, server = listen("127.0.0.1", 0), make_server(desk)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    browser = Browser(port=listening.getsockname()[1])
    answer = browser.post("/sign-in", {"token": desk.users.add("anna", "approver")})
    assert answer.status == 303, answer.words
    yield browser
    server.should_exit = True
    thread.join()


def test_a_release_is_approved_there_seen_here_and_rejected_by_the_verb(
    registry: Registry, account: Account, earthsnap: Command
) -> None:
    register(registry, 1)
    decide_there(account, 1, "Approved", "good enough")

    shown = earthsnap("releases", "release=plants-1", *ON_SAGEMAKER)
    assert "approved, not rolled out yet" in shown.out, shown
    assert "Approved by fake-user-profile-name on" in shown.out
    assert "good enough" in shown.out
    assert "from model registry" in shown.out

    said = earthsnap("reject", "release=plants-1", "why=names roses wrongly", *ON_SAGEMAKER)

    assert said.code == 0, said.err
    assert described(account, 1)["ModelApprovalStatus"] == "Rejected"
    assert described(account, 1)["ApprovalDescription"] == "names roses wrongly"
    assert earthsnap("status", "--json", *ON_SAGEMAKER).json["releases"][0]["stands"] == "rejected"


def test_a_decision_keeps_what_else_the_package_says(registry: Registry, account: Account, earthsnap: Command) -> None:
    register(registry, 1)
    before = described(account, 1)["CustomerMetadataProperties"]

    assert earthsnap("approve", "release=plants-1", "why=looks good", *ON_SAGEMAKER).code == 0

    package = described(account, 1)
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "looks good")
    assert package["CustomerMetadataProperties"] == before


def test_the_console_shows_what_waits_and_what_was_decided_there_and_decides_itself(
    registry: Registry, account: Account, browser: Browser
) -> None:
    register(registry, 1)
    register(registry, 2)
    assert "waits for approval" in browser.get("/releases/plants-1").words.lower()

    decide_there(account, 1, "Approved", "good enough")
    registry._heard.clear()  # a while later
    page = browser.get("/releases/plants-1").words

    assert "fake-user-profile-name" in page
    assert "good enough" in page
    answer = browser.submit(
        "/releases/plants-2/decide", {"decision": "reject", "why": "blurred"}, on="/releases/plants-2"
    )
    assert "You rejected plants-2" in answer.words
    assert described(account, 2)["ModelApprovalStatus"] == "Rejected"
    assert described(account, 2)["ApprovalDescription"] == "blurred"


def test_a_decision_that_could_not_be_said_there_is_said_by_the_next_to_look(
    open_one: Callable[[str], Registry], account: Account
) -> None:
    here = open_one("here")
    register(here, 1)
    account.num_changes, account.cut_after = 0, 3  # lock, ledger, lock; then the package
    with pytest.raises(EnvironmentProblem, match="UpdateModelPackage was refused"):
        here.approve("plants-1", why="looks good", origin="test", who="anna")
    account.cut_after = None
    assert described(account, 1)["ModelApprovalStatus"] == "PendingManualApproval"

    (release,) = open_one("there").releases()

    assert release.state == "Approved"
    assert described(account, 1)["ModelApprovalStatus"] == "Approved"
    assert [(e.action, e.who) for e in here.ledger.history()][1:] == [("approved", "anna")]


# ---- around it


def test_a_place_on_aws_is_asked_for_by_name(earthsnap: Command) -> None:
    said = earthsnap("releases", "registry=sagemaker", f"registry.serve_image={IMAGE}")

    assert said.code == 2
    assert "aws.region: no value was given, and registry needs it" in said.err
    assert "add registry.serve_image=..." in earthsnap("releases", "registry=sagemaker").err


def test_an_endpoint_in_the_background_serves_from_the_same_registry() -> None:
    spec = declare("serve", "endpoint=prod", "family=plants", *ON_SAGEMAKER)

    started = endpoint_command(spec, "plants", "prod")

    assert declare(*started[3:]).registry == spec.registry.model_copy(update={"tags": {}})
    assert "registry=sagemaker" not in endpoint_command(declare("serve", "endpoint=prod"), "plants", "prod")


@pytest.mark.slow
def test_a_release_that_was_trained_here_is_registered_there(
    finished_run: FinishedRun, account: Account, tmp_path: Path, earthsnap_process: Command
) -> None:
    paths = [f"paths.{name}={finished_run.folder / name}" for name in ("store", "groupings")]

    said = earthsnap_process(*DEMO, *paths, *ON_SAGEMAKER, **account.environment)

    assert said.code == 0, said.err
    assert "release  plants-debug-1 waits for approval" in said.out
    assert described(account, 1, "plants-debug-release")["ModelApprovalStatus"] == "PendingManualApproval"
    assert len(packages(account, "plants-debug-parent")) == 1
    listed = S3Bucket(BUCKET, kms_key=None, region=REGION).listed("earthsnap/registry/plants-debug/")
    assert {"report.html", "release.json", "MODEL_CARD.md", "metrics.json"} <= {
        key.rpartition("/")[2] for key in listed
    }
