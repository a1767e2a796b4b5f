"""Trunks: a backbone without its classifier, from random numbers, a file, an installed package or the library's hub."""

import hashlib
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from earthsnap_train.errors import ConfigError, EnvironmentProblem, IntegrityError, did_you_mean
from earthsnap_train.models.packages import PACKAGES
from earthsnap_train.spec.backbone import Backbone

HUB_TIMEOUT_S = 5.0
TORCHVISION_HUB = "https://download.pytorch.org"


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


class BothWays(nn.Module):
    """The mean of what a trunk makes of a photograph and of its mirror image: two looks."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features: Tensor = (self.trunk(images_BCHW) + self.trunk(images_BCHW.flip(3))) / 2
        return features


def as_served(trunk: Trunk, backbone: Backbone) -> nn.Module:
    """With as many looks at a photograph as are declared."""
    return BothWays(trunk) if backbone.looks == 2 else trunk


def empty_trunk(backbone: Backbone) -> Trunk:
    """The network without meaningful weights, to load a state into. Raises ConfigError for an unknown name."""
    return Trunk(_body(backbone, pretrained=False), backbone)


def initial_trunk(backbone: Backbone, *, seed: int, weights: Path | None, hub: str | None = None) -> Trunk:
    """The network as training starts from it; ``weights`` is the file behind ``backbone.weights``, if it names one.

    ``hub``: where pretrained weights come from, ``None`` the library's own. Raises ConfigError (unknown name, tensors that
    do not fit), IntegrityError (a package's file is not the known one) or EnvironmentProblem (no hub to be reached).
    """
    torch.manual_seed(seed)
    match backbone.weights.kind:
        case "hub":
            return _from_hub(backbone, hub)
        case "file" if weights is not None:
            trunk = empty_trunk(backbone)
            _load(trunk.body, _read(weights), where=str(weights))
            return trunk
        case "package" if weights is not None and (package := backbone.weights.package):
            return _from_package(backbone, package, weights)
    return empty_trunk(backbone)


def _body(backbone: Backbone, *, pretrained: bool) -> nn.Module:
    if backbone.library == "timm":
        from earthsnap_train.models.bare_timm import timm

        if backbone.name.split(".")[0] not in timm.list_models():
            raise _unknown(backbone, timm.list_models())
        body: nn.Module = timm.create_model(backbone.name, pretrained=pretrained, num_classes=0)
        return body
    import torchvision

    if backbone.name not in torchvision.models.list_models(module=torchvision.models):
        raise _unknown(backbone, torchvision.models.list_models(module=torchvision.models))
    body = torchvision.models.get_model(backbone.name, weights="DEFAULT" if pretrained else None)
    linear = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(
            f"torchvision's {backbone.name} does not end in a linear classifier, so it gives no features",
            where="backbone.name",
            remedy="choose another network, such as mobilenet_v3_small",
        )
    body.set_submodule(linear[-1], nn.Identity())
    for name in ("aux1", "aux2", "AuxLogits"):  # further classifiers, which only training from nothing would want
        if hasattr(body, name):
            setattr(body, name, None)
            setattr(body, "aux_logits", False)  # noqa: B010 (a module's attributes are tensors to mypy)
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
    from earthsnap_train.models.bare_timm import timm

    # The file is an early port's: other names, the same tensors in the same order. weights_only refuses any code in it.
    state = torch.load(weights, map_location="cpu", weights_only=True)
    names = timm.create_model(known.timm_name, pretrained=False).state_dict()
    trunk = empty_trunk(backbone)
    _load(trunk.body, dict(zip(names, state.values(), strict=True)), where=str(weights))
    return trunk


def _read(weights: Path) -> dict[str, Tensor]:
    try:
        return load_file(weights)
    except SafetensorError as error:
        raise ConfigError(
            f"this is not a file of weights ({error})",
            where=str(weights),
            allowed="safetensors, which unlike a pickle can hold no code",
            remedy="safetensors.torch.save_file(model.state_dict(), 'weights.safetensors') makes one",
        ) from error


def _from_hub(backbone: Backbone, hub: str | None) -> Trunk:
    from huggingface_hub import constants

    try:
        if not constants.HF_HUB_OFFLINE:  # else what was fetched earlier is taken, or nothing
            _reach(hub or (constants.ENDPOINT if backbone.library == "timm" else TORCHVISION_HUB))
        return Trunk(_body(backbone, pretrained=True), backbone)
    except OSError as error:
        raise EnvironmentProblem(
            f"the pretrained weights cannot be fetched ({error})",
            where="backbone.weights.kind=hub",
            remedy="use backbone.weights.kind=package, or file with a safetensors file that you have",
        ) from error


def _reach(url: str) -> None:
    """Raises OSError within seconds where the hub is out of reach; the libraries themselves retry for most of a minute."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    socket.create_connection((parts.hostname or "", port), timeout=HUB_TIMEOUT_S).close()
