"""A plan: what has to be done for one declaration, as plain data with no place in it.

A reference to an input is ``stage``, ``stage:path/inside`` or ``@external``. ``inputs`` enter a stage's key by content;
``sources`` do not: they only say where bytes lie whose digests are already among the inputs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict, JsonValue


class Stage(BaseModel):
    """One step of work. ``num_images`` is what it will look at, as far as is known before it runs; only for estimates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    node: str | None = None
    inputs: dict[str, str] = {}
    sources: dict[str, str] = {}
    settings: dict[str, JsonValue]
    num_images: int = 0

    def references(self) -> Iterator[tuple[str, str]]:
        """Pairs (input name, reference) of everything that must be there before this stage starts."""
        yield from self.inputs.items()
        yield from self.sources.items()


class Plan(BaseModel):
    """Stages in an order in which they can run. ``externals``: name -> content digest of what comes from outside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    stages: tuple[Stage, ...]
    externals: dict[str, str]
    nodes: tuple[str, ...]

    def stage(self, name: str) -> Stage:
        return next(s for s in self.stages if s.name == name)


def split_reference(reference: str) -> tuple[str, str]:
    """``stage:path/inside`` -> (``stage``, ``path/inside``); no path gives an empty one."""
    stage, _, inside = reference.partition(":")
    return stage, inside


def digest_of(value: object) -> str:
    """sha256 of a JSON value's canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def library_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def ingredients(
    stage: Stage, *, revision: int, libraries: tuple[str, ...], digests: Mapping[str, str]
) -> dict[str, JsonValue]:
    """All that a stage's result may depend on; its digest is the stage's key.

    ``digests`` maps every reference of ``stage.inputs`` (without the path inside) to a content digest.
    """
    return {
        "kind": stage.kind,
        "revision": revision,
        "settings": stage.settings,
        "libraries": {name: library_version(name) for name in libraries},
        "inputs": {name: digests[split_reference(ref)[0]] + _inside(ref) for name, ref in sorted(stage.inputs.items())},
    }


def _inside(reference: str) -> str:
    inside = split_reference(reference)[1]
    return f":{inside}" if inside else ""
