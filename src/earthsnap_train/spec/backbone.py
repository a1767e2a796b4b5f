"""What ``conf/backbone/`` declares: the network that turns a photograph into features, and its preparation."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel


class NoWeights(SpecModel):
    """Random initialisation, seeded."""

    kind: Literal["none"]


class FileWeights(SpecModel):
    """A safetensors file with the library's own tensor names; a classifier's tensors in it are left out."""

    kind: Literal["file"]
    path: str


class PackageWeights(SpecModel):
    """Weights inside an installed Python package, one of those that ``models/backbone.py`` names with their digest."""

    kind: Literal["package"]
    package: str


class HubWeights(SpecModel):
    """The library's own pretrained weights, fetched by it."""

    kind: Literal["hub"]


Weights = Annotated[NoWeights | FileWeights | PackageWeights | HubWeights, Field(discriminator="kind")]


class Backbone(SpecModel):
    """``crop_fraction``: the share of the shorter side that the centre crop keeps. ``mean``/``std``: of values in 0..1."""

    library: Literal["timm", "torchvision"]
    name: str
    weights: Weights
    image_px: Annotated[int, Field(ge=32, le=1024)]
    crop_fraction: Annotated[float, Field(gt=0, le=1)]
    interpolation: Literal["bilinear", "bicubic", "lanczos"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
