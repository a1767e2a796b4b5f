"""Trunks: a backbone without its classifier, from random numbers, a file, an installed package or the library's hub."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from earthsnap_train.errors import ConfigError, EnvironmentProblem, IntegrityError, did_you_mean
from earthsnap_train.models.packages import PACKAGES
from earthsnap_train.spec.backbone import Backbone, FileWeights, HubWeights, PackageWeights

HUB_TIMEOUT_S = 5.0


class Trunk(nn.Module):
    """uint8 images [B, 3, H, W] -> features [B, F]. Normalisation is inside, so nobody can forget or double it."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, backbone: Backbone) -> None:
        super().__init__()
        self.body = body
        for name, values in (("mean", backbone.mean), ("std", backbone.std)):
            self.register_buffer(name, 255 * torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features: Tensor = self.body((images_BCHW.to(self.mean.dtype) - self.mean) / self.std)
        return features


def empty_trunk(backbone: Backbone) -> Trunk:
    """The network without meaningful weights, to load a state into. Raises ConfigError for an unknown name."""
    return Trunk(_body(backbone, pretrained=False), backbone)


def initial_trunk(backbone: Backbone, *, seed: int, weights: Path | None) -> Trunk:
    """The network as training starts from it; ``weights`` is the file behind ``backbone.weights``, if it names one.

    Raises ConfigError (unknown name, tensors that do not fit), IntegrityError (a package's file is not the known one)
    or EnvironmentProblem (no hub to be reached).
    """
    torch.manual_seed(seed)
    match backbone.weights:
        case HubWeights():
            _require_hub()
            return Trunk(_body(backbone, pretrained=True), backbone)
        case FileWeights() if weights is not None:
            trunk = empty_trunk(backbone)
            _load(trunk.body, load_file(weights), where=str(weights))
            return trunk
        case PackageWeights(package=package) if weights is not None:
            return _from_package(backbone, package, weights)
    return empty_trunk(backbone)


def _body(backbone: Backbone, *, pretrained: bool) -> nn.Module:
    if backbone.library == "timm":
        import timm

        if backbone.name.split(".")[0] not in timm.list_models():
            raise _unknown(backbone, timm.list_models())
        return timm.create_model(backbone.name, pretrained=pretrained, num_classes=0)
    import torchvision

    if backbone.name not in torchvision.models.list_models(module=torchvision.models):
        raise _unknown(backbone, torchvision.models.list_models(module=torchvision.models))
    body: nn.Module = torchvision.models.get_model(backbone.name, weights="DEFAULT" if pretrained else None)
    classifier = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)][-1]
    body.set_submodule(classifier, nn.Identity())
    return body


def _unknown(backbone: Backbone, known: list[str]) -> ConfigError:
    return ConfigError(
        f"{backbone.library} has no network called {backbone.name!r}",
        where="backbone.name",
        allowed=f"one of {len(known)} names of {backbone.library}. {did_you_mean(backbone.name, known)}".strip(),
        remedy=f"list them: python -c 'import {backbone.library} as t; "
        + ("print(t.list_models())'" if backbone.library == "timm" else "print(t.models.list_models())'"),
    )


def _load(body: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Strict for every tensor of ``body``; what else ``state`` holds must be a classifier's."""
    wanted = body.state_dict()
    misfits = [n for n, t in wanted.items() if n not in state or state[n].shape != t.shape]
    if misfits:
        raise ConfigError(
            f"{len(misfits)} of {len(wanted)} tensors are missing or of another shape, the first is {misfits[0]!r}",
            where=where,
            allowed="the library's own tensor names and shapes for this backbone",
            remedy="name the backbone that these weights belong to",
        )
    body.load_state_dict({n: state[n].to(t.dtype) for n, t in wanted.items()})


def _from_package(backbone: Backbone, package: str, weights: Path) -> Trunk:
    known = PACKAGES[package]
    if (backbone.library, backbone.name) != ("timm", known.timm_name):
        raise ConfigError(
            f"the package {package} holds weights of timm's {known.timm_name}, not of {backbone.name}",
            where="backbone.weights.package",
            remedy=f"set backbone.name={known.timm_name}, or other weights",
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != known.sha256:
        raise IntegrityError(
            "this is not the file that the package published", where=str(weights), remedy=f"reinstall {package}"
        )
    import timm

    # The file is an early port's: other names, the same tensors in the same order. weights_only refuses any code in it.
    state = torch.load(weights, map_location="cpu", weights_only=True)
    names = timm.create_model(known.timm_name, pretrained=False).state_dict()
    trunk = empty_trunk(backbone)
    _load(trunk.body, dict(zip(names, state.values(), strict=True)), where=str(weights))
    return trunk


def _require_hub() -> None:
    """Fails within seconds where the hub is out of reach; the libraries themselves retry for most of a minute."""
    import socket
    from urllib.parse import urlsplit

    from huggingface_hub.constants import ENDPOINT

    parts = urlsplit(ENDPOINT)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=HUB_TIMEOUT_S).close()
    except OSError as error:
        raise EnvironmentProblem(
            f"the model hub cannot be reached ({error})",
            where="backbone.weights.kind=hub",
            remedy="use backbone.weights.kind=package, or file with a safetensors file that you have",
        ) from error
