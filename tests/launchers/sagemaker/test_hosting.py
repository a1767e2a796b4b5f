"""What is asked of AWS to host a release: names, what is captured, and files that lie in the bucket whole."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, IntegrityError
from earthsnap_train.release.load import verify
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.hosting import LIMIT, made
from launchers.sagemaker.places import release_folder
from launchers.sagemaker.released import bring
from tests.launchers.rollout_kit import make_release
from tests.launchers.sagemaker.hosted_kit import hosted
from tests.launchers.sagemaker.shapes import problems_of, request


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(Registry(tmp_path_factory.mktemp("hosting") / "registry"), approved=False)


def config(release: Release, *overrides: str, endpoint: str = "prod") -> dict[str, object]:
    spec = hosted(*overrides)
    assert isinstance(spec.deployment, SageMaker)
    return dict(made(release, spec.deployment, spec.serving, endpoint).config)  # type: ignore[arg-type]


def test_photographs_are_captured_only_with_consent(release: Release) -> None:
    def captured(*overrides: str) -> dict[str, object]:
        return config(release, *overrides)["DataCaptureConfig"]  # type: ignore[return-value]

    outputs = captured()
    assert outputs["CaptureOptions"] == [{"CaptureMode": "Output"}]
    assert outputs["InitialSamplingPercentage"] == 10
    assert outputs["DestinationS3Uri"] == "s3://photographs/earthsnap/captured/plants/prod"
    both = captured("deployment.prod.capture.inputs=true", "deployment.prod.capture.consent=true")
    assert both["CaptureOptions"] == [{"CaptureMode": "Output"}, {"CaptureMode": "Input"}]
    with pytest.raises(ConfigError, match="consent is true") as caught:
        captured("deployment.prod.capture.inputs=true")
    assert caught.value.where == "deployment.prod.capture.inputs"


def test_nothing_is_captured_where_nothing_is_declared(release: Release) -> None:
    assert "DataCaptureConfig" not in config(release, "deployment.prod.capture=null")
    assert "DataCaptureConfig" not in config(release, endpoint="stage")


def test_a_key_encrypts_disks_but_those_that_encrypt_themselves(release: Release) -> None:
    key = "deployment.kms_key=alias/photographs"
    assert config(release, key)["KmsKeyId"] == "alias/photographs"
    assert "KmsKeyId" not in config(release, key, "deployment.prod.instance_type=ml.g5.xlarge")


def test_each_endpoint_acts_as_a_role_of_its_own_or_as_that_of_both(release: Release) -> None:
    def role(endpoint: EndpointName, *overrides: str) -> str:
        spec = hosted(*overrides)
        assert isinstance(spec.deployment, SageMaker)
        [model] = made(release, spec.deployment, spec.serving, endpoint).models
        return str(model["ExecutionRoleArn"]).rpartition("/")[2]

    of = "deployment.{0}.role=arn:aws:iam::123456789012:role/{0}".format
    assert [role(one, of("stage"), of("prod")) for one in ("stage", "prod")] == ["stage", "prod"]
    assert [role(one, of("stage")) for one in ("stage", "prod")] == ["stage", "earthsnap"]


def test_whatever_changes_what_is_served_changes_the_names_and_nothing_else_does(release: Release) -> None:
    name = config(release)["EndpointConfigName"]
    assert config(release, "deployment.prod.steps=[{share: 0.5, bake_s: 1}]")["EndpointConfigName"] == name
    for other in ("deployment.image=other:2", "deployment.prod.instance_count=3", "serving.engine=openvino"):
        assert config(release, other)["EndpointConfigName"] != name


def test_names_of_a_family_as_long_as_they_come_are_taken(release: Release) -> None:
    spec = hosted("deployment.kms_key=alias/x", "deployment.subnets=[subnet-1]", "deployment.security_groups=[sg-1]")
    assert isinstance(spec.deployment, SageMaker)
    long = release.model_copy(update={"family": "a" * 50 + "_b.c", "number": 1234})
    it = made(long, spec.deployment, spec.serving, "prod")

    assert len(it.name) <= LIMIT
    assert not list(problems_of(dict(it.config), request("CreateEndpointConfig")))
    [model] = it.models
    assert not list(problems_of(dict(model), request("CreateModel")))
    assert model["EnableNetworkIsolation"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("[{share: 0.6, bake_s: 60}]", "CANARY"),
        ("[{share: 0.1, bake_s: 60}, {share: 0.5, bake_s: 60}]", "LINEAR"),
        ("[{share: 0.25, bake_s: 60}, {share: 0.5, bake_s: 60}]", "LINEAR"),
        ("[{share: 0.1, bake_s: 3601}]", "3600 at most"),
    ],
)
def test_steps_that_the_service_cannot_take_are_refused(steps: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hosted(f"deployment.prod.steps={steps}")
    assert caught.value.where == "deployment.prod.steps"
    assert said.lower() in caught.value.allowed.lower()


def test_production_has_two_instances_at_least() -> None:
    for key in ("instance_count", "autoscaling.min_instances"):
        with pytest.raises(ConfigError) as caught:
            hosted(f"deployment.prod.{key}=1")
        assert caught.value.where == f"deployment.prod.{key}"


def test_a_floor_above_the_most_instances_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"deployment\.prod\.autoscaling") as caught:
        hosted('deployment.prod.autoscaling.floors=[{cron: "0 6 ? * MON-FRI *", min_instances: 9}]')
    assert "max_instances is below" in caught.value.allowed


# ---- files in the bucket


class Cut(Exception):
    """The network is gone."""


class CutBucket(FolderBucket):
    def upload(self, key: str, file: Path) -> None:
        if file.name == "taxonomy.parquet":
            raise Cut
        super().upload(key, file)


def test_a_release_that_was_cut_off_half_way_is_not_taken_for_whole(release: Release, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        bring(release, CutBucket(tmp_path), prefix="here")
    whole = FolderBucket(tmp_path)
    place = f"here/{release_folder(release.family, release.digest)}/"
    assert whole.read(f"{place}release.json") is None

    bring(release, whole, prefix="here")
    names = {path.relative_to(tmp_path / place).as_posix() for path in (tmp_path / place).rglob("*") if path.is_file()}
    assert {"release.json", "family.json", "taxonomy.parquet", "golden/answers.json"} <= names


def test_what_is_there_is_not_uploaded_again(release: Release, tmp_path: Path) -> None:
    bring(release, FolderBucket(tmp_path), prefix="here")
    bring(release, CutBucket(tmp_path), prefix="here")


def test_another_registrys_release_of_that_digest_is_not_overwritten(release: Release, tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    description = f"here/{release_folder(release.family, release.digest)}/release.json"
    other = json.loads((release.path / "release.json").read_bytes()) | {"number": release.number + 1}
    bucket.write(description, json.dumps(other).encode())
    with pytest.raises(IntegrityError, match="are those of another release there"):
        bring(release, bucket, prefix="here")
    assert json.loads(bucket.read(description) or b"") == other


def forgotten(release: Path, name: str) -> None:
    """As ``forget`` leaves a release."""
    answers, description = release / "golden" / "answers.json", release / "release.json"
    (release / "golden" / name).unlink()
    answers.write_text(json.dumps([one for one in json.loads(answers.read_bytes()) if one["file"] != name]))
    said = json.loads(description.read_bytes())
    del said["files"][f"golden/{name}"]
    said["files"]["golden/answers.json"] = hashlib.sha256(answers.read_bytes()).hexdigest()
    description.write_text(json.dumps(said))


class PurgedBucket(FolderBucket):
    """``purged``: what was there, of each time that earlier versions of it went."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.purged: list[set[str]] = []

    def purge(self, prefix: str) -> None:
        self.purged.append({key.rpartition("/")[2] for key in self.listed(prefix)})


def test_a_photograph_that_was_forgotten_is_gone_from_what_endpoints_load_and_does_not_come_back(
    tmp_path: Path,
) -> None:
    release, bucket = make_release(Registry(tmp_path / "registry")), PurgedBucket(tmp_path / "bucket")
    bring(release, bucket, prefix="here")
    place = tmp_path / "bucket" / "here" / release_folder(release.family, release.digest)
    (place / "packages.json").write_text("of the Model Registry")
    before = release.model_copy(update={"folder": tmp_path / "before"})
    shutil.copytree(release.path, before.folder)
    forgotten(release.path, "3.jpg")

    bring(release, bucket, prefix="here")

    assert not (place / "golden" / "3.jpg").exists()
    verify(place, digest=release.digest)
    assert (place / "packages.json").exists()
    assert all("3.jpg" not in names for names in bucket.purged)
    assert bucket.purged[-1] == {"release.json"}, "whose earlier version names the photograph"
    bring(before, bucket, prefix="here")  # a machine that has not heard of it
    assert not (place / "golden" / "3.jpg").exists()


def test_a_release_whose_files_were_changed_is_not_uploaded(tmp_path: Path) -> None:
    release = make_release(Registry(tmp_path / "registry"))
    (release.path / "nodes" / "flat.onnx").write_bytes(b"something else")
    with pytest.raises(IntegrityError):
        bring(release, FolderBucket(tmp_path / "bucket"), prefix="here")
