"""The golden files were written by MXNet 1.9.1 (``benchmarks/records/oracle_write.py``)."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsnap_train.data import recordio
from earthsnap_train.data.recordio import Record

GOLDEN = Path(__file__).parent / "golden"
MAGIC = struct.pack("<I", recordio.MAGIC)
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
RECORDS = [Record(label=float(key % 3), record_id=key, image=payload) for key, payload in enumerate(PAYLOADS)]


def test_we_write_the_bytes_that_mxnet_writes() -> None:
    assert b"".join(map(recordio.encode, RECORDS)) == (GOLDEN / "golden.rec").read_bytes()


def test_we_write_the_index_that_mxnet_writes() -> None:
    lengths = [len(recordio.encode(record)) for record in RECORDS]
    offsets = [sum(lengths[:key]) for key in range(len(lengths))]
    assert recordio.format_idx(offsets) == (GOLDEN / "golden.idx").read_text()


def test_we_read_what_mxnet_wrote() -> None:
    data = (GOLDEN / "golden.rec").read_bytes()
    index = recordio.read_idx(GOLDEN / "golden.idx")
    stops = [offset for _, offset in index[1:]] + [len(data)]
    read = [recordio.decode(data[start:stop]) for (_, start), stop in zip(index, stops, strict=True)]
    assert read == RECORDS


def test_the_list_is_written_as_im2rec_writes_it() -> None:
    assert recordio.format_lst([(3, "rosa/a.jpg"), (0, "b.jpg")]) == "0\t3.000000\trosa/a.jpg\n1\t0.000000\tb.jpg\n"


@given(st.lists(st.sampled_from([MAGIC, MAGIC[:2], MAGIC[1:], b"abcd", b"z"]), max_size=12))
def test_any_mixture_of_magic_numbers_comes_back_whole(pieces: list[bytes]) -> None:
    record = Record(label=1.0, record_id=7, image=b"".join(pieces))
    assert recordio.decode(recordio.encode(record)) == record


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:5], "inside the head of a part"),
        (lambda data: data[:-4], "of which"),
        (lambda data: data + b"more", "after the end of the record"),
        (lambda data: b"\0" + data[1:], "where the magic number"),
        (lambda data: data[:7] + b"\x60" + data[8:], "out of order"),
        (lambda data: data[:8] + b"\2" + data[9:], "2 labels"),
    ],
)
def test_damage_to_the_frame_is_named(damage: Callable[[bytes], bytes], message: str) -> None:
    whole = recordio.encode(Record(label=0.0, record_id=0, image=b"twelve bytes"))
    with pytest.raises(ValueError, match=message):
        recordio.decode(damage(whole))


def test_a_payload_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than its header"):
        recordio.decode(struct.pack("<II", recordio.MAGIC, 4) + b"abcd")
