"""Plain data -> RunSpec, with errors that a person can act upon."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.spec.aws import Aws
from earthsnap_train.spec.run import RunSpec

MOST_NAMED = 17


def validate(plain: Mapping[str, Any]) -> RunSpec:
    """Raises ConfigError for the first thing that is wrong, and says how many more there are."""
    try:
        return RunSpec.model_validate(plain)
    except ValidationError as error:
        raise in_our_words(error) from None


def in_our_words(error: ValidationError, root: type[BaseModel] = RunSpec, prefix: str = "") -> ConfigError:
    """``root``: the model that was validated; ``prefix``: where what was validated stands in the declaration, with a dot."""
    errors = error.errors()
    # An unknown key often comes with the one that it was meant to be, missing: the first says more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    key = prefix + dotted(first, root)
    more = f" ({len(errors) - 1} more like it)" if len(errors) > 1 else ""
    context = first.get("ctx", {})
    came = first.get("input")
    match first["type"]:
        case "string_type" if came is None and key.rpartition(".")[2] in Aws.model_fields:
            whole = f"aws.{key.rpartition('.')[2]}"  # which all that works on AWS takes from there
            return ConfigError(
                f"no value was given, and {key.partition('.')[0]} needs it{more}",
                where=whole,
                remedy=f"add {whole}=...",
            )
        case "extra_forbidden":
            return no_such_key(key, root, prefix, more)
        case "missing":
            return ConfigError(f"no value was given{more}", where=key, remedy=f"add {key}=...")
        case "union_tag_invalid":
            kinds = re.findall(r"'([^']*)'", str(context.get("expected_tags")))
            tag = str(context.get("tag"))
            told_by = str(context.get("discriminator")).strip("'")
            what = f"{tag!r} is no such kind{more}" if told_by == "kind" else f"got {tag!r}{more}"
            return ConfigError(
                what, where=f"{key}.{told_by}", allowed=", ".join(kinds), remedy=did_you_mean(tag, kinds)
            )
        case "literal_error":
            choices = re.findall(r"'([^']*)'", str(context.get("expected")))
            near = did_you_mean(str(came), choices)
            return ConfigError(f"got {came!r}{more}", where=key, allowed=", ".join(choices), remedy=near)
        case "model_type" | "model_attributes_type":
            fields = ", ".join(_fields(_place(first, root)))
            return ConfigError(f"got {came!r}{more}", where=key, allowed=f"a mapping of {fields}")
        case "secret":  # what came is not repeated
            place = context["place"]
            return ConfigError(
                f"{place} is a secret, or may hold one, and templates show all of this{more}",
                where=key,
                remedy=f"leave it out, or say {place}=null",
            )
        case "string_pattern_mismatch" if key == "name":
            allowed = "lower-case letters, digits, dots, dashes and underscores, 63 characters at most"
            return ConfigError(f"got {came!r}{more}", where=key, allowed=allowed)
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ").partition(", unable to")[0]
    return ConfigError(f"got {came!r}{more}", where=key, allowed=said[:1].lower() + said[1:])


def no_such_key(key: str, root: type[BaseModel] = RunSpec, prefix: str = "", more: str = "") -> ConfigError:
    """Names the nearest key, and those that stand where this one was looked for."""
    known = [prefix + one for one in known_keys(root)]
    leaf = key.rpartition(".")[2]
    near = did_you_mean(key, known) or next((f"Did you mean {k!r}?" for k in known if k.endswith(f".{leaf}")), "")
    place = key.rpartition(".")[0]
    while place and not any(k.startswith(f"{place}.") for k in known):
        place = place.rpartition(".")[0]
    inside = f"{place}." if place else ""
    names = [k.removeprefix(inside) for k in known if k.startswith(inside) and "." not in k.removeprefix(inside)]
    shown = ", ".join(names[:MOST_NAMED]) + (f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    return ConfigError(f"no such key{more}", where=key, allowed=shown, remedy=near)


def dotted(error: ErrorDetails, root: type[BaseModel] = RunSpec) -> str:
    """The key as it stands in YAML: without the names of the union's members that pydantic puts between."""
    return ".".join(name for name, _ in _way(error, root))


def _place(error: ErrorDetails, root: type[BaseModel]) -> Any:
    """What should have stood where the error is."""
    way = list(_way(error, root))
    return way[-1][1] if way else root


def _way(error: ErrorDetails, root: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """(name as in YAML, the annotation there) from the top down to where the error is."""
    place: Any = root
    for part in error["loc"]:
        fields = _fields(place)
        if isinstance(part, str) and fields and part not in fields and part in _tags(place):
            place = next(m for m in _members(place) if part in _tags(m))
            continue
        if fields:
            place = fields.get(str(part))
        elif get_origin(_plain(place)) is dict:
            place = get_args(_plain(place))[1]
        else:
            place = None
        yield str(part), place


@cache
def known_keys(root: type[BaseModel] = RunSpec) -> tuple[str, ...]:
    """Every dotted key of a declaration, of all kinds of every choice."""
    return tuple(dict.fromkeys(key for key, _ in _keys(root, "")))


@cache
def secret_keys(root: type[BaseModel] = RunSpec) -> frozenset[str]:
    """Dotted keys whose values nothing shows."""
    return frozenset(key for key, annotation in _keys(root, "") if _is_secret(annotation))


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def _keys(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, the annotation there)."""
    for name, annotation in _fields(model).items():
        yield prefix + name, annotation
        plain = _plain(annotation)
        if get_origin(plain) is dict and get_origin(get_args(plain)[0]) is Literal:
            names, value = get_args(plain)
            yield from ((f"{prefix}{name}.{one}", value) for one in get_args(names))
        for member in _members(annotation):
            yield from _keys(member, f"{prefix}{name}.")


def _plain(annotation: Any) -> Any:
    """Without what ``Annotated`` adds."""
    return getattr(annotation, "__origin__", annotation) if hasattr(annotation, "__metadata__") else annotation


def _fields(place: Any) -> dict[str, Any]:
    """Field name (as in YAML) -> annotation, of a model or of all members of a union."""
    fields: dict[str, Any] = {}
    for member in _members(place):
        for name, field in member.model_fields.items():
            key = field.alias or name
            fields[key] = Union[fields[key], field.annotation] if key in fields else field.annotation  # noqa: UP007
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
        for name in ("kind", "verb", "module"):
            if name in member.model_fields:
                tags |= set(get_args(member.model_fields[name].annotation))
    return tags
