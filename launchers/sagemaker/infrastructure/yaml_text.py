"""YAML that is the same for the same document, and that people can read: long texts as such, functions in their short form."""

from collections.abc import Mapping
from typing import Any

import yaml

_SHORT = {"Ref": "!Ref", "Fn::Sub": "!Sub", "Fn::GetAtt": "!GetAtt"}


def yaml_text(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str, tag: str = "tag:yaml.org,2002:str") -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if tag.startswith("tag:") else "'"
    return dumper.represent_scalar(tag, text, style=style)


def _mapping(dumper: yaml.SafeDumper, mapping: Mapping[str, Any]) -> yaml.Node:
    if len(mapping) == 1:
        ((key, value),) = mapping.items()
        if key in _SHORT:
            return _text(dumper, ".".join(value) if isinstance(value, list) else value, _SHORT[key])
    return dumper.represent_dict(mapping)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
