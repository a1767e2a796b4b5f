"""Entries that are named by dotted keys, however they were written: nested, as an override produces them, or at once."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def dotted(value: object, is_entry: Callable[[Mapping[Any, Any]], bool]) -> object:
    """``{a: {b: entry}}`` and ``{a.b: entry}`` say the same; null takes an entry away. What is no mapping is left as it is."""
    return dict(_walk(value, (), is_entry)) if isinstance(value, Mapping) else value


def _walk(
    value: Mapping[Any, Any], path: tuple[str, ...], is_entry: Callable[[Mapping[Any, Any]], bool]
) -> Iterator[tuple[str, object]]:
    for key, below in value.items():
        here = (*path, str(key))
        if isinstance(below, Mapping) and not is_entry(below):
            yield from _walk(below, here, is_entry)
        elif below is not None:
            yield ".".join(here), below
