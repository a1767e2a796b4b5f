"""YAML read as data alone, refusing what YAML would otherwise pass over in silence."""

from pathlib import Path
from typing import Any

import yaml

from earthsnap_train.errors import ConfigError, NotFoundError

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    problem = f"{key.value!r} stands there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return mapping


def load_yaml(path: Path) -> object:
    """Raises NotFoundError, or ConfigError with the line where the text is no YAML or a key stands twice."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("the file is not text in UTF-8", where=str(path)) from None
    try:
        return yaml.load(text, _Loader)  # noqa: S506 -- a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        conflict = "<<<<<<<" in text
        raise ConfigError(
            "the file holds an unresolved merge conflict" if conflict else str(problem),
            where=f"{path}{line}",
            remedy="Keep the lines of both sides that add species, and remove the markers." if conflict else "",
        ) from None
