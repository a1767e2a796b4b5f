"""The release that a new one starts from, where the declaration names one."""

import json
from importlib import import_module
from pathlib import Path

from earthsnap_train.errors import ConfigError, NotFoundError
from earthsnap_train.pipeline.plan import digest_of
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.architecture import SharedTrunk
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec


def find_base(spec: RunSpec) -> tuple[str, Path] | None:
    """Digest of all its files, and where they lie; None where no base is declared.

    Raises ConfigError where a base cannot be used, NotFoundError for a release that there is not.
    """
    if spec.base is None:
        return None
    _check(spec)
    registry: Registry = import_module(spec.registry.module).open_registry(spec.registry, Path(spec.paths.registry))
    try:
        release = registry.get(spec.base)
    except NotFoundError as error:
        raise NotFoundError(error.what, where="base", allowed=error.allowed, remedy=error.remedy) from None
    files = json.loads((release.path / "release.json").read_bytes())["files"]
    return digest_of(files), release.path


def _check(spec: RunSpec) -> None:
    if not isinstance(spec.architecture, SharedTrunk):
        raise ConfigError(
            "only the heads of a shared trunk can be taken over from an earlier release",
            where="base",
            allowed=f"null with architecture={spec.architecture.kind}",
            remedy="architecture=shared_trunk, or base=null",
        )
    if spec.training.fit_on == "full":
        raise ConfigError(
            "a parent that is kept has learnt from the photographs that it would be judged on",
            where="base",
            allowed="training.fit_on=train or train_val",
            remedy="base=null teaches the parent anew",
        )
    if isinstance(spec.launcher, SageMaker):
        raise ConfigError(
            "a release is not sent to SageMaker's jobs",
            where="base",
            allowed="null with launcher=sagemaker",
            remedy="launcher=local, or base=null, which teaches the parent anew",
        )
