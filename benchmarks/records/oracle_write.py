"""Writes the golden RecordIO files of the tests with MXNet itself (run in the benchmark environment, see README.md).

python oracle_write.py FOLDER
"""

import struct
import sys
from pathlib import Path

import mxnet as mx

MAGIC = struct.pack("<I", 0xCED7230A)
# What makes the format interesting: every length modulo four, the magic on a boundary (first, middle, last, twice in a
# row), and the magic off a boundary, where it must be left alone.
PAYLOADS = [
    b"",
    b"a",
    b"ab",
    b"abc",
    b"abcd",
    MAGIC,
    MAGIC + MAGIC,
    MAGIC + b"tail",
    b"head" + MAGIC,
    b"head" + MAGIC + b"mid." + MAGIC + b"end",
    b"x" + MAGIC + b"off the boundary",
]

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
record = mx.recordio.MXIndexedRecordIO(str(folder / "golden.idx"), str(folder / "golden.rec"), "w")
for position, payload in enumerate(PAYLOADS):
    header = mx.recordio.IRHeader(0, float(position % 3), position, 0)
    record.write_idx(position, mx.recordio.pack(header, payload))
record.close()
print((folder / "golden.rec").stat().st_size, "bytes")
