"""The file in which W&B keeps an offline run: its records, read and written again.

The format is LevelDB's log but for its checksum, which is the plain CRC-32: a header of 7 bytes, then blocks of 32 KiB
that hold pieces of records. A piece has a checksum of its kind and bytes (4), their number (2) and its kind (1): whole,
first, middle or last of its record. A piece never crosses into another block, and what room is too small for a piece's own
header is filled with zeros.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER_BYTES = 7
PIECE_HEADER = struct.Struct("<IHB")
BLOCK_BYTES = 32768
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    assert data[:4] == b":W&B", path
    at, record = HEADER_BYTES, b""
    while at + PIECE_HEADER.size <= len(data):
        if (left := BLOCK_BYTES - at % BLOCK_BYTES) < PIECE_HEADER.size:
            at += left
            continue
        _, num_bytes, kind = PIECE_HEADER.unpack_from(data, at)
        at += PIECE_HEADER.size
        record += data[at : at + num_bytes]
        at += num_bytes
        if kind in (WHOLE, LAST):
            yield record
            record = b""


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Replaces what is in the file, but for its header, at once or not at all."""
    data = bytearray(path.read_bytes()[:HEADER_BYTES])
    for record in records:
        rest, is_first = record, True
        while rest or is_first:
            left = BLOCK_BYTES - len(data) % BLOCK_BYTES
            if left < PIECE_HEADER.size:
                data += bytes(left)
                left = BLOCK_BYTES
            piece, rest = rest[: left - PIECE_HEADER.size], rest[left - PIECE_HEADER.size :]
            kind = (LAST if not rest else MIDDLE) if not is_first else (WHOLE if not rest else FIRST)
            data += PIECE_HEADER.pack(zlib.crc32(piece, zlib.crc32(bytes([kind]))), len(piece), kind) + piece
            is_first = False
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
