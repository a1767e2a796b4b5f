"""Reads what W&B keeps of an offline run, as its service would: with W&B's own words, and without our code."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Staged:
    """An artifact. ``files``: name inside -> bytes, read from where the run says that they lie, seen from its folder."""

    name: str
    kind: str
    aliases: list[str]
    metadata: dict[str, Any]
    files: dict[str, bytes]
    paths: list[str]


@dataclass
class Told:
    """One run as its .wandb file has it."""

    id: str = ""
    group: str = ""
    name: str = ""
    job_type: str = ""
    project: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Staged] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    media: Path = Path()

    def rows(self, *, without: str = "machine/") -> list[dict[str, Any]]:
        """Curves with their steps."""
        rows = [
            {k: v for k, v in row.items() if k == "_step" or not k.startswith(("_", without))} for row in self.history
        ]
        return [row for row in rows if len(row) > 1 and not any("/" in name for name in row)]

    def table(self, name: str) -> list[dict[str, Any]]:
        said = self._entry(name)
        assert said["_type"] == "table-file"
        table = json.loads((self.media / said["path"]).read_bytes())
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    def captions(self, name: str) -> list[str]:
        return list(self._entry(name)["captions"])

    def pictures(self, name: str) -> list[Path]:
        return [self.media / file for file in self._entry(name)["filenames"]]

    def _entry(self, name: str) -> dict[str, Any]:
        """A value with parts is written as ``name/part``."""
        for row in self.history:
            found = {key.removeprefix(f"{name}/"): value for key, value in row.items() if key.startswith(f"{name}/")}
            if found:
                return found
        raise KeyError(name)


def read_all(folder: Path) -> list[Told]:
    """Of a run folder, in the order in which they were told."""
    return [read_back(path, folder) for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb"), key=_written)]


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def read_back(path: Path, folder: Path) -> Told:
    from wandb.proto import wandb_internal_pb2

    told = Told(media=path.parent / "files")
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                told.id, told.group, told.name, told.job_type = (
                    run.run_id,
                    run.run_group,
                    run.display_name,
                    run.job_type,
                )
                told.project, told.tags = run.project, list(run.tags)
                told.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
            case "history":
                told.history.append(values_of(record.history.item))
            case "summary":
                told.summary |= values_of(record.summary.update)
            case "metric":
                told.axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric
            case "artifact":
                told.artifacts.append(_staged(record.artifact, folder))
    return told


def _staged(artifact: Any, folder: Path) -> Staged:
    files = {}
    for entry in artifact.manifest.contents:
        content = (folder / entry.local_path).read_bytes()
        assert base64.b64encode(hashlib.md5(content).digest()).decode() == entry.digest  # as W&B will check it
        files[entry.path] = content
    return Staged(
        name=artifact.name,
        kind=artifact.type,
        aliases=list(artifact.aliases),
        metadata=json.loads(artifact.metadata or "{}"),
        files=files,
        paths=[entry.local_path for entry in artifact.manifest.contents],
    )


def records(log: bytes) -> Iterator[bytes]:
    """LevelDB's log: after a header of 7 bytes, blocks of 32 KiB with pieces of records (checksum, length, kind, bytes)."""
    assert log[:4] == b":W&B"
    block_bytes, header_bytes, last_kinds = 32768, 7, (1, 4)
    place, record = header_bytes, b""
    while place + header_bytes <= len(log):
        if block_bytes - place % block_bytes < header_bytes:
            place += block_bytes - place % block_bytes
        _, length, kind = struct.unpack_from("<IHB", log, place)
        record += log[place + header_bytes : place + header_bytes + length]
        place += header_bytes + length
        if kind in last_kinds:
            yield record
            record = b""


def values_of(items: Iterable[Any]) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
