"""A request held against botocore's model of it: types, what is required, and also enums, patterns and lengths.

botocore itself looks at none of the last three before it sends.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session

Path = tuple[str | int, ...]
PYTHON_TYPES = {
    "string": str, "integer": int, "long": int, "boolean": bool, "float": (int, float), "double": (int, float),
    "structure": dict, "map": dict, "list": list,
}  # fmt: skip


@cache
def service() -> Any:
    return botocore.session.Session().get_service_model("sagemaker")


def request(operation: str) -> Any:
    return service().operation_model(operation).input_shape


def response(operation: str) -> Any:
    return service().operation_model(operation).output_shape


def problems_of(value: Any, shape: Any, at: Path = ()) -> Iterator[str]:
    where = ".".join(map(str, at))
    wanted = PYTHON_TYPES[shape.type_name]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):  # type: ignore[arg-type]
        yield f"{where}: {value!r} is no {shape.type_name}"
        return
    match shape.type_name:
        case "structure":
            yield from (f"{where}.{name}: missing" for name in shape.required_members if name not in value)
            for name, one in value.items():
                if name not in shape.members:
                    yield f"{where}.{name}: no such field"
                else:
                    yield from problems_of(one, shape.members[name], (*at, name))
        case "list":
            yield from _size(len(value), shape, where)
            for number, one in enumerate(value):
                yield from problems_of(one, shape.member, (*at, number))
        case "map":
            yield from _size(len(value), shape, where)
            for key, one in value.items():
                yield from problems_of(key, shape.key, (*at, "key"))
                yield from problems_of(one, shape.value, (*at, key))
        case "string":
            yield from _size(len(value), shape, where)
            if shape.enum and value not in shape.enum:
                yield f"{where}: {value!r} is none of {len(shape.enum)} choices"
            pattern = shape.metadata.get("pattern")
            if pattern and not re.fullmatch(_in_python(pattern), value, flags=re.DOTALL):
                yield f"{where}: {value!r} is not of the form {pattern}"
        case "integer" | "long" | "float" | "double":
            yield from _size(value, shape, where)


def _size(size: float, shape: Any, where: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{where}: {size} is not from {least} to {most}"


def _in_python(pattern: str) -> str:
    """Java's classes of letters, separators and numbers; these stand inside of brackets."""
    pattern = re.sub(r"\$\{\d+,\d+\}", "", pattern)  # of metadata: a length, which is looked at by itself
    pattern = pattern.replace(r"\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}", r"^\x00-\x1f")
    return pattern.replace(r"\p{L}\p{Z}\p{N}_", r"\w ").replace(r"\p{Alnum}", "a-zA-Z0-9")


def required_and_enums(value: Any, shape: Any, at: Path = ()) -> Iterator[tuple[str, Path]]:
    """("required" or "enum", where) of every field in ``value`` that must be there or that is one of some choices."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, one in value.items():
            if name in shape.required_members:
                yield "required", (*at, name)
            yield from required_and_enums(one, shape.members[name], (*at, name))
    elif shape.type_name == "list" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from required_and_enums(one, shape.member, (*at, number))
    elif shape.type_name == "string" and shape.enum and isinstance(value, str):
        yield "enum", at
