"""Where verbs get the registry from that a declaration names."""

from importlib import import_module
from pathlib import Path

from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.run import RunSpec


def open_registry(spec: RunSpec) -> Registry:
    """``paths.registry`` with all that ``registry`` declares beside it."""
    registry: Registry = import_module(spec.registry.module).open_registry(spec.registry, Path(spec.paths.registry))
    return registry
