"""Plain data -> RunSpec, with errors that a person can act upon."""

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.run import RunSpec


def validate(plain: Mapping[str, Any]) -> RunSpec:
    """Raises ConfigError for the first thing that is wrong, and says how many more there are."""
    try:
        return RunSpec.model_validate(plain)
    except ValidationError as error:
        raise _ours(error) from None


def _ours(error: ValidationError) -> ConfigError:
    errors = error.errors()
    # An unknown key often comes with the one that it was meant to be, missing: the first says more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    key = dotted(first)
    more = f" ({len(errors) - 1} more like it)" if len(errors) > 1 else ""
    match first["type"]:
        case "extra_forbidden":
            near = _nearest(key)
            return ConfigError(
                f"no such key{more}",
                where=key,
                allowed="the keys of --cfg job",
                remedy=f"Did you mean {near!r}?" if near else "",
            )
        case "missing":
            return ConfigError(f"no value was given{more}", where=key, remedy=f"add {key}=...")
        case "union_tag_invalid":
            context = first.get("ctx", {})
            return ConfigError(
                f"{context.get('tag')!r} is no such kind{more}",
                where=f"{key}.kind",
                allowed=str(context.get("expected_tags")),
            )
    said = first["msg"].removeprefix("Value error, ")
    came = first.get("input")
    return ConfigError(f"got {came!r}{more}", where=key, allowed=said[:1].lower() + said[1:])


def dotted(error: ErrorDetails) -> str:
    """The key as it stands in YAML: without the names of the union's members that pydantic puts between."""
    place: Any = RunSpec
    parts = []
    for part in error["loc"]:
        fields = _fields(place)
        if isinstance(part, str) and fields and part not in fields and part in _tags(place):
            place = next(m for m in _members(place) if part in _tags(m))
            continue
        parts.append(str(part))
        place = fields.get(str(part)) if fields else None
    return ".".join(parts)


@cache
def known_keys() -> tuple[str, ...]:
    """Every dotted key of a declaration, of all kinds of every choice."""
    return tuple(dict.fromkeys(_keys(RunSpec, "")))


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.6)
    return near[0] if near else ""


def _keys(model: Any, prefix: str) -> Iterator[str]:
    for name, annotation in _fields(model).items():
        yield prefix + name
        for member in _members(annotation):
            yield from _keys(member, f"{prefix}{name}.")


def _fields(place: Any) -> dict[str, Any]:
    """Field name (as in YAML) -> annotation, of a model or of all members of a union."""
    fields: dict[str, Any] = {}
    for member in _members(place):
        for name, field in member.model_fields.items():
            fields[field.alias or name] = field.annotation
    return fields


def _members(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (dict, list, tuple):
        return []
    return [member for argument in get_args(annotation) for member in _members(argument)]


def _tags(place: Any) -> set[str]:
    tags: set[str] = set()
    for member in _members(place):
        for name in ("kind", "verb"):
            if name in member.model_fields:
                tags |= set(get_args(member.model_fields[name].annotation))
    return tags
