"""The commands that people type, where endpoints are hosted, against moto."""

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from launchers.sagemaker.places import release_folder
from tests.conftest import Said
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND
from tests.launchers.sagemaker.hosted_kit import HOSTED, PROD, three_approved

URL = f"https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/{PROD}/invocations"


def test_a_rollback_has_production_serve_the_release_before_and_status_says_where(
    earthsnap: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    registry = three_approved(tmp_path / "registry")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="photographs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

        back = earthsnap("rollback", f"release={SECOND}", "why=wrong names", *HOSTED, "--json")
        status = earthsnap("status", *HOSTED, "--json")

        assert back.json == {"release": SECOND, "live": FIRST}
        live = boto3.client("sagemaker").describe_endpoint(EndpointName=PROD)
        assert live["EndpointConfigName"].startswith(f"{PROD}-1-")
        description = f"earthsnap/{release_folder(FAMILY, registry.get(FIRST).digest)}/release.json"
        assert (
            s3.get_object(Bucket="photographs", Key=description)["Body"].read()
            == (registry.get(FIRST).path / "release.json").read_bytes()
        )
    prod = status.json["live"][FAMILY]["endpoints"]["prod"]
    assert (prod["stable"], prod["url"]) == (FIRST, URL)


def test_an_endpoint_of_this_machine_is_not_served_where_endpoints_are_hosted(
    earthsnap: Callable[..., Said], tmp_path: Path
) -> None:
    three_approved(tmp_path / "registry")

    said = earthsnap("serve", "endpoint=prod", *HOSTED)

    assert said.code == 2
    assert "its endpoints are on SageMaker, which starts and ends them" in said.err
