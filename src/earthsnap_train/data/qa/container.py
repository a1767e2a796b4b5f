"""What the bytes of an image file say around its pixels: where it ends, and whether its scan is whole.

Decoders pass over both in silence: libjpeg turns a damaged scan into a grey or shifted picture.
"""

from typing import NamedTuple

_IN_SCAN = frozenset((0x00, 0xFF, *range(0xD0, 0xD8)))  # FF00 is a byte FF, D0 to D7 are restarts, FFFF is filling
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))
_START_OF_SCAN, _END = 0xDA, 0xD9
_BASELINE = frozenset((0xC0, 0xC1))
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))


class Container(NamedTuple):
    """``end``: where the image ends in the file, None where its end is missing. ``damage``: empty where none shows."""

    end: int | None
    damage: str = ""


def examine(data: bytes, image_format: str) -> Container:
    """``data``: a whole file that Pillow took for ``image_format``."""
    if image_format in ("JPEG", "MPO"):
        return _jpeg(data)
    if image_format == "PNG":
        return Container(_png_end(data))
    if image_format == "WEBP":
        size = int.from_bytes(data[4:8], "little")
        return Container(8 + size + size % 2)
    return Container(len(data))


def stray_bytes(data: bytes, end: int | None) -> int:
    """How many bytes behind the image no camera would have put there."""
    tail = data[end:].strip(b"\0\n\r\xff") if end is not None else b""
    # Phones append depth and gain maps (JPEGs), moving pictures (MP4) and Samsung's own trailer.
    from_a_camera = tail.startswith(b"\xd8") or b"ftyp" in tail[:12] or tail.endswith(b"SEFT") or b"MotionPhoto" in tail
    return 0 if from_a_camera or not tail or end is None else len(data) - end


def _jpeg(data: bytes) -> Container:
    at, is_baseline, num_components, num_in_scans = 2, False, 0, 0
    while True:
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] == b"\xff":
            at += 1
        head = data[at : at + 10]
        if len(head) < 4 or head[0] != 0xFF:
            return Container(at + 2 if head[:2] == b"\xff\xd9" else None)
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker == _END:
            return Container(at + 2)
        at += 2 + length
        if marker in _FRAMES:
            is_baseline, num_components = marker in _BASELINE, head[9] if len(head) == 10 else 0
        if marker != _START_OF_SCAN:
            continue
        num_in_scans += head[4]
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) - 1 and data[at + 1] in _IN_SCAN:
            at = data.find(b"\xff", at + 1 if data[at + 1] == 0xFF else at + 2)
        if not 0 <= at < len(data) - 1:
            return Container(None)
        marker = data[at + 1]
        is_last = is_baseline and num_in_scans >= num_components
        if marker != _END and (is_last or marker not in _BETWEEN_SCANS):
            return Container(len(data), f"a marker FF{marker:02X} in the picture, at byte {at}")


def _png_end(data: bytes) -> int | None:
    at = 8
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at
    return None
