"""What ``conf/backbone/`` declares: the network that turns a photograph into features, and its preparation."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from earthsnap_train.spec.model import SpecModel


class Weights(SpecModel):
    """``none``: random, seeded. ``hub``: the library's own, fetched by it. The others need the key of their name.

    ``file``: a safetensors file with the library's own tensor names; a classifier's tensors in it are left out.
    ``package``: an installed Python package, one of those that ``models/packages.py`` names with their digest.
    """

    kind: Literal["none", "file", "package", "hub"]
    file: str | None
    package: str | None

    @model_validator(mode="after")
    def _what_it_needs(self) -> Self:
        if self.kind in ("file", "package") and getattr(self, self.kind) is None:
            raise ValueError(f"kind {self.kind} needs {self.kind}")
        return self


class Backbone(SpecModel):
    """``crop_fraction``: the share of the shorter side that the centre crop keeps. ``mean``/``std``: of values in 0..1.

    ``quantization``: of the exported network, which is the one that is evaluated and served. ``looks``: 2 looks at a
    photograph and at its mirror image.
    """

    library: Literal["timm", "torchvision"]
    name: str
    weights: Weights
    image_px: Annotated[int, Field(ge=32, le=1024)]
    crop_fraction: Annotated[float, Field(gt=0, le=1)]
    interpolation: Literal["bilinear", "bicubic", "lanczos"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    quantization: Literal["none", "int8"]
    looks: Literal[1, 2]
