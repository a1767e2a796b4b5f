"""What may stand around the pixels of a file at most; checked before a reader walks it part by part, in Python.

A camera writes some dozens of parts. A file with a million of them keeps a reader busy for seconds before the first pixel.
"""

import struct
from typing import Final

MAX_PARTS: Final = 1000  # segments of a JPEG before its scan; chunks of a PNG but those of its pixels
MAX_PIXEL_CHUNKS: Final = 20_000
MAX_SCANS: Final = 100  # of a progressive JPEG, each of which visits the whole picture; encoders write about ten
MAX_EXIF_ENTRIES: Final = 500
MAX_EXIF_SEGMENTS: Final = 32  # of 64 KiB; readers join them one by one, which takes the square of their number
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def absurdity(data: bytes) -> str:
    """What is beyond any photograph about this file, in words; empty where nothing is."""
    if data.startswith(b"\xff\xd8"):
        return _of_jpeg(data)
    return _of_png(data) if data.startswith(_PNG) else ""


def num_exif_entries(exif: bytes) -> int:
    """Of the first directory, as a TIFF header says; -1 where that cannot be read."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        assert order is not None
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
    except (AssertionError, struct.error):
        return -1
    return int(count)


def _of_jpeg(data: bytes) -> str:
    at, num_exif = 2, 0
    for _ in range(MAX_PARTS):
        at = data.find(b"\xff", at)
        if at >= 0 and data[at + 1 : at + 2] == b"\xff":  # filling, which counts as a part too
            at += 1
            continue
        if at < 0 or at + 4 > len(data) or data[at + 1] == 0xDA:
            num_scans = data.count(b"\xff\xda")
            return f"a JPEG of {num_scans} scans" if num_scans > MAX_SCANS else ""
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            num_exif += 1
            entries = num_exif_entries(data[at + 4 : at + 2 + length])
            if entries > MAX_EXIF_ENTRIES:
                return f"metadata of {entries} entries"
            if num_exif > MAX_EXIF_SEGMENTS:
                return f"metadata in more than {MAX_EXIF_SEGMENTS} segments"
        at += 2 + length if data[at + 1] >= 0xC0 and not 0xD0 <= data[at + 1] <= 0xD9 else 2
    return f"a JPEG of more than {MAX_PARTS} segments"


def _of_png(data: bytes) -> str:
    at, num_others = len(_PNG), 0
    for _ in range(MAX_PIXEL_CHUNKS):
        if at + 8 > len(data):
            return ""
        num_others += data[at + 4 : at + 8] != b"IDAT"
        if num_others > MAX_PARTS:
            return f"a PNG of more than {MAX_PARTS} chunks besides its pixels"
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return f"a PNG of more than {MAX_PIXEL_CHUNKS} chunks"
