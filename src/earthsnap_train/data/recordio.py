"""RecordIO, byte for byte as MXNet's ``im2rec`` writes it (dmlc-core ``recordio.h``, ``mxnet/recordio.py``).

A ``.rec`` file is a row of records, each starting on a multiple of four bytes::

    part      uint32 magic | uint32 (continuation << 29 | num_bytes) | bytes | zeros up to a multiple of four
    payload   uint32 flag | float32 label | uint64 id | uint64 id2 | image bytes          (all little-endian)

Readers find their way by looking for the magic number, so a payload that holds it on a boundary of four bytes is cut
there into several parts and the magic left out between them; reading puts it back.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = 0xCED7230A
MAX_PART_BYTES: Final = (1 << 29) - 1

_MAGIC_BYTES: Final = struct.pack("<I", MAGIC)
_PART: Final = struct.Struct("<II")
_HEADER: Final = struct.Struct("<IfQQ")
_WHOLE, _FIRST, _MIDDLE, _LAST = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image and its one label. ``record_id`` is its key in the ``.lst`` and ``.idx`` files."""

    label: float
    record_id: int
    image: bytes


def encode(record: Record) -> bytes:
    """The bytes of one record, framed and padded, ready to append to a ``.rec`` file."""
    payload = _HEADER.pack(0, record.label, record.record_id, 0) + record.image
    cuts = _boundaries_with_magic(payload)
    starts = [0, *(cut + 4 for cut in cuts)]
    stops = [*cuts, len(payload)]
    if max(stop - start for start, stop in zip(starts, stops, strict=True)) > MAX_PART_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes does not fit RecordIO's 29 bits of length")
    kinds = [_FIRST, *[_MIDDLE] * (len(cuts) - 1), _LAST] if cuts else [_WHOLE]
    parts = [
        _PART.pack(MAGIC, kind << 29 | stop - start) + payload[start:stop]
        for kind, start, stop in zip(kinds, starts, stops, strict=True)
    ]
    return b"".join(parts) + bytes(-len(payload) % 4)


def decode(data: bytes) -> Record:
    """The record that ``data`` holds from first to last byte; raises ``ValueError`` where it holds anything else."""
    payload = _unframe(data)
    if len(payload) < _HEADER.size:
        raise ValueError(f"a payload of {len(payload)} bytes is shorter than its header")
    flag, label, record_id, _ = _HEADER.unpack_from(payload)
    if flag != 0:
        raise ValueError(f"{flag} labels in one record; only single labels are read")
    return Record(label=label, record_id=record_id, image=payload[_HEADER.size :])


def format_idx(offsets: Iterable[int]) -> str:
    """The text of an ``.idx`` file: key and byte offset of each record."""
    return "".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets))


def format_lst(rows: Iterable[tuple[float, str]]) -> str:
    """The text of a ``.lst`` file: key, label (as ``im2rec`` prints it) and path of each image."""
    return "".join(f"{key}\t{label:f}\t{path}\n" for key, (label, path) in enumerate(rows))


def read_idx(path: Path) -> list[tuple[int, int]]:
    """Key and byte offset of each record, in the order of the file."""
    lines = path.read_text("ascii").splitlines()
    return [(int(key), int(offset)) for key, offset in (line.split("\t") for line in lines)]


def _boundaries_with_magic(payload: bytes) -> list[int]:
    cuts = []
    found = payload.find(_MAGIC_BYTES)
    while found >= 0:
        if found % 4 == 0:
            cuts.append(found)
        found = payload.find(_MAGIC_BYTES, found + (4 if found % 4 == 0 else 1))
    return cuts


def _unframe(data: bytes) -> bytes:
    parts: list[bytes] = []
    position, kind = 0, _FIRST
    while position == 0 or kind in (_FIRST, _MIDDLE):
        if len(data) - position < _PART.size:
            raise ValueError(f"the data end inside the head of a part, at byte {position}")
        magic, word = _PART.unpack_from(data, position)
        if magic != MAGIC:
            raise ValueError(f"{magic:#010x} where the magic number {MAGIC:#010x} belongs, at byte {position}")
        kind, num_bytes = word >> 29, word & MAX_PART_BYTES
        if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise ValueError(f"a part of kind {kind} out of order, at byte {position}")
        position += _PART.size
        if len(data) - position < num_bytes:
            num_there = len(data) - position
            raise ValueError(f"a part of {num_bytes} bytes of which {num_there} are there, at byte {position}")
        parts.append(data[position : position + num_bytes])
        position += num_bytes
    if len(data) - position != -position % 4:
        raise ValueError(f"{len(data) - position} bytes after the end of the record, at byte {position}")
    return _MAGIC_BYTES.join(parts)
