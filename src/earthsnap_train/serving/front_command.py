"""The command by which an endpoint of this machine is started, and where it then answers."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from earthsnap_train.spec.deployment import EndpointName, local
from earthsnap_train.spec.registry import LocalRegistry, RegistrySpec
from earthsnap_train.spec.run import RunSpec


def endpoint_command(spec: RunSpec, family: str, endpoint: EndpointName) -> list[str]:
    """Serves an endpoint, as this declaration says."""
    on = local(spec.deployment)
    at = on.stage if endpoint == "stage" else on.prod
    deployment: dict[str, object] = {f"{endpoint}.host": at.host, f"{endpoint}.port": at.port}
    deployment["prod.canary.shadow_share"] = on.prod.canary.shadow_share
    journal = spec.paths.journal_folder
    paths: dict[str, object] = {
        "registry": str(Path(spec.paths.registry).resolve()),
        "journal": None if journal is None else str(journal.resolve()),
    }
    return [
        sys.executable, "-m", "earthsnap_train", "serve",
        *_overrides({"endpoint": endpoint, "family": family}),
        *_overrides(paths, "paths."),
        *_registry(spec.registry),
        *_overrides(spec.serving.model_dump(), "serving."),
        *_overrides(deployment, "deployment."),
    ]  # fmt: skip


def _registry(registry: RegistrySpec) -> list[str]:
    if isinstance(registry, LocalRegistry):
        return []
    return ["registry=sagemaker", *_overrides(registry.model_dump(exclude={"module", "tags"}), "registry.")]


def address(host: str, port: int) -> str:
    """Where a client of this machine reaches what listens there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _overrides(values: Mapping[str, object], prefix: str = "") -> list[str]:
    return [f"{prefix}{key}={_value(value)}" for key, value in values.items()]


def _value(value: object) -> str:
    """As Hydra and OmegaConf read it back, whatever is in it."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    plain = re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", value)
    quoted = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), plain)
    return f"'{quoted}'"
