"""``stop`` ends an endpoint, and says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.release.registry import Registry
from tests.conftest import Said
from tests.serving.endpoint_kit import FAMILY, OLD, EndpointKit, running_endpoint

Command = Callable[..., Said]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """With one release of one family."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    root = tmp_path / "registry"
    Registry(root).register(FAMILY, "d" * 64, bundle, reasons=[], summary={}, lineage={})
    return root


def test_it_ends_the_only_family_s_endpoint(earthsnap: Command, registry: Path) -> None:
    with running_endpoint(EndpointKit(registry.parent)) as kit:
        kit.serve(OLD)

        said = earthsnap("stop", "endpoint=prod", f"paths.registry={registry}")

        assert (said.code, said.out) == (0, "the endpoint prod of plants has ended\n")
        assert not kit.servers()
    said = earthsnap("stop", "endpoint=prod", f"paths.registry={registry}")
    assert (said.code, said.out) == (0, "the endpoint prod of plants did not run\n")


def test_it_says_in_json_whether_it_ran(earthsnap: Command, registry: Path) -> None:
    said = earthsnap("stop", "endpoint=stage", f"paths.registry={registry}", "--json")
    assert said.json == {"family": "plants", "endpoint": "stage", "stopped": False}


def test_an_unknown_family_is_named_with_the_nearest(earthsnap: Command, registry: Path) -> None:
    said = earthsnap("stop", "endpoint=prod", "family=plant", f"paths.registry={registry}")
    assert said.code == 2
    assert "Did you mean 'plants'?" in said.err


def test_with_two_families_one_has_to_be_named(earthsnap: Command, registry: Path, tmp_path: Path) -> None:
    Registry(registry).register("birds", "e" * 64, tmp_path / "bundle", reasons=[], summary={}, lineage={})
    said = earthsnap("stop", "endpoint=prod", f"paths.registry={registry}")
    assert said.code == 2
    assert "more than one family" in said.err
    assert "birds, plants" in said.err


def test_an_empty_registry_has_no_endpoint(earthsnap: Command, tmp_path: Path) -> None:
    said = earthsnap("stop", "endpoint=prod", f"paths.registry={tmp_path}")
    assert said.code == 2
    assert "no release yet" in said.err
