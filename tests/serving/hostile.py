"""Files and requests that mean harm, each the same wherever it is made; none is kept anywhere.

``FILES`` yields more than five hundred, one at a time, for some are large. ``harmless`` says why a file may be answered
all the same; without it only a refusal will do.
"""

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Hostile:
    name: str
    body: bytes
    content_type: str = "application/octet-stream"
    harmless: str | None = None


# ---- honest files, which the hostile ones are made of


def picture(width: int = 96, height: int = 80, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(5, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    if image_format == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    out = io.BytesIO()
    (image or picture()).save(out, image_format, **options)
    return out.getvalue()


def jpeg(**options: object) -> bytes:
    return encoded("JPEG", **{"quality": 90, **options})


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(*segments: bytes) -> bytes:
    """After the start of the image."""
    whole = jpeg()
    return whole[:2] + b"".join(segments) + whole[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PNG = b"\x89PNG\r\n\x1a\n"


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, pixels: bytes, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zeros(num_bytes: int) -> bytes:
    """Deflated, a thousand times smaller."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(num_bytes >> 20)]
    return b"".join([*parts, packer.compress(bytes(num_bytes & ((1 << 20) - 1))), packer.flush()])


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    inside = b"".join(k + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside


# ---- bombs: small files, large pictures


def bombs() -> Iterator[Hostile]:
    sizes = [(65535, 65535), (100_000, 100_000), (30_000, 30_000), (20_000, 5_000), (2**31 - 1, 1), (1, 2**31 - 1)]
    for width, height in sizes:
        for colour, name in ((0, "grey"), (2, "rgb"), (3, "palette"), (6, "rgba")):
            before = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
            body = png(width, height, colour=colour, pixels=zeros(1 << 20), before=before)
            yield Hostile(name=f"bomb/png-{name}-{width}x{height}", body=body)
    for depth in (8, 16):
        body = png(7_700, 7_700, depth=depth, colour=6, pixels=zeros(7_700 * (1 + 7_700 * 4 * depth // 8)))
        yield Hostile(name=f"bomb/png-just-below-the-pixel-limit-{depth}-bits", body=body)
    body = png(7_700, 7_700, colour=2, pixels=zeros(7_700 * (1 + 7_700 * 3)))
    yield Hostile(name="bomb/png-just-below-the-pixel-limit-rgb", body=body)
    large = Image.new("RGB", (7_700, 7_700))
    yield Hostile(
        name="bomb/jpeg-just-below-the-pixel-limit",
        body=encoded("JPEG", large),
        harmless="59 megapixels that a camera may write; decoded at an eighth of the size",
    )
    for sampling in ("4:2:0", "4:4:4"):
        body = encoded("JPEG", large, progressive=True, subsampling=sampling)
        yield Hostile(name=f"bomb/jpeg-progressive-{sampling}", body=body)
    yield Hostile(name="bomb/webp-lossless", body=encoded("WEBP", Image.new("RGB", (16_000, 3_700)), lossless=True))
    yield Hostile(name="bomb/webp-alpha", body=encoded("WEBP", Image.new("RGBA", (6_000, 6_000)), lossless=True))
    for width, height in ((16_384, 16_384), (16_384, 1), (10_000, 10_000)):
        canvas = struct.pack("<I", 0x10)[:4] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        inside = encoded("WEBP")[12:]
        body = riff((b"VP8X", canvas), (inside[:4], inside[8:]))
        yield Hostile(name=f"bomb/webp-canvas-{width}x{height}", body=body)
    for width, height in ((65_535, 65_535), (65_500, 65_500), (60_000, 30_000)):
        whole = jpeg()
        at = whole.index(b"\xff\xc0")
        body = whole[: at + 5] + struct.pack(">HH", height, width) + whole[at + 9 :]
        yield Hostile(name=f"bomb/jpeg-header-says-{width}x{height}", body=body)
    scans = jpeg(progressive=True)
    at = scans.rindex(b"\xff\xda")
    yield Hostile(name="bomb/jpeg-of-5000-scans", body=scans[:-2] + scans[at:-2] * 5_000 + b"\xff\xd9")
    heic = encoded("HEIF", Image.new("RGB", (5_900, 5_900)))
    yield Hostile(name="bomb/heic-34-megapixels", body=heic)
    at = heic.index(b"ispe")
    for width, height in ((64, 64), (0, 0), (2**32 - 1, 2**32 - 1), (65_536, 65_536)):
        body = heic[: at + 8] + struct.pack(">II", width, height) + heic[at + 16 :]
        yield Hostile(name=f"bomb/heic-ispe-says-{width}x{height}", body=body)


# ---- what metadata can do


def metadata() -> Iterator[Hostile]:
    reason = "the pixels are those of a photograph, and its metadata is passed over"
    for megabytes in (1, 5, 19):
        parts = [segment(0xE1, b"Exif\0\0" + bytes(65_000))] * (megabytes * 16)
        few = reason if megabytes == 1 else None
        yield Hostile(name=f"metadata/exif-{megabytes}-mb", body=with_segments(*parts), harmless=few)
        parts = [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<x>" * 21_000)] * (megabytes * 16)
        yield Hostile(name=f"metadata/xmp-{megabytes}-mb", body=with_segments(*parts), harmless=reason)
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000)) for n in range(1, 256)]
    yield Hostile(name="metadata/icc-16-mb", body=with_segments(*parts), harmless=reason)
    for count in (100_000, 1_000_000):
        yield Hostile(name=f"metadata/{count}-empty-segments", body=with_segments(segment(0xEF, b"") * count))
        yield Hostile(name=f"metadata/{count}-comments", body=with_segments(segment(0xFE, b"x") * count))
    yield Hostile(name="metadata/jpeg-of-filling", body=b"\xff\xd8" + b"\xff" * 5_000_000 + jpeg()[2:])
    entry = struct.pack("<HHII", 0x0110, 2, 4, 0)
    for count in (4_000, 5_400):
        tiff = b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4)
        yield Hostile(name=f"metadata/exif-of-{count}-entries", body=with_segments(segment(0xE1, b"Exif\0\0" + tiff)))
    for name, offset in (("itself", 8), ("nowhere", 0xFFFFFF00)):
        loop = struct.pack("<HHHII", 1, 0x8769, 4, 1, offset) + struct.pack("<I", offset)
        tiff = b"II*\0" + struct.pack("<I", 8) + loop
        body = with_segments(segment(0xE1, b"Exif\0\0" + tiff))
        yield Hostile(name=f"metadata/exif-directory-that-points-to-{name}", body=body, harmless=reason)
    for value in (0, 9, 255, 65_535):
        tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)
        body = with_segments(segment(0xE1, b"Exif\0\0" + tiff))
        yield Hostile(name=f"metadata/exif-orientation-{value}", body=body, harmless=reason)
    row = zlib.compress(b"\0" + bytes(3 * 64))
    honest = zlib.compress((b"\0" + bytes(3 * 64)) * 64)
    for kind in (b"tEXt", b"iTXt", b"teSt", b"prVt"):
        before = chunk(kind, b"a\0b") * 200_000
        yield Hostile(
            name=f"metadata/200000-png-chunks-{kind.decode()}", body=png(64, 64, pixels=honest, before=before)
        )
    bomb = zeros(200 << 20)
    for kind, head in (
        (b"zTXt", b"Raw profile type exif\0\0"),
        (b"iCCP", b"icc\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
    ):
        yield Hostile(
            name=f"metadata/png-{kind.decode()}-of-200-mb",
            body=png(64, 64, pixels=honest, before=chunk(kind, head + bomb)),
            harmless="what it packs is not unpacked beyond a mebibyte",
        )
    yield Hostile(
        name="metadata/png-of-one-row-only",
        body=png(64, 64, pixels=row),
        harmless="its pixels end where their own stream says so; the other rows are black",
    )
    yield Hostile(
        name="metadata/png-of-30000-empty-idat", body=png(64, 64, pixels=honest, before=chunk(b"IDAT", b"") * 30_000)
    )
    for frames in (1_000, 20_000):
        control = struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0)
        body = (
            PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"acTL", struct.pack(">II", frames, 0))
            + chunk(b"fcTL", control) + chunk(b"IDAT", honest)
            + b"".join(chunk(b"fcTL", control) + chunk(b"fdAT", struct.pack(">I", n) + row) for n in range(frames - 1))
            + chunk(b"IEND", b"")
        )  # fmt: skip
        yield Hostile(name=f"metadata/apng-of-{frames}-frames", body=body)


# ---- cut short and changed

CONTAINERS: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "progressive": lambda: jpeg(progressive=True),
    "png": lambda: encoded("PNG"),
    "webp": lambda: encoded("WEBP"),
    "heic": lambda: encoded("HEIF"),
}


def truncated() -> Iterator[Hostile]:
    """At the first bytes, at every part's border, and evenly through the rest."""
    for name, make in CONTAINERS.items():
        whole = make()
        cuts = {1, 2, 3, 4, 7, 8, 11, 12, 13, 16, 20, 24, 30, len(whole) - 40, len(whole) // 2}
        cuts |= {len(whole) * part // 16 for part in range(1, 15)}
        marks = (
            (b"IDAT", b"IEND") if name == "png" else (b"\xff\xda", b"\xff\xc4", b"\xff\xdb", b"\xff\xc0", b"\xff\xc2")
        )
        if name == "heic":
            marks = (b"meta", b"iinf", b"iloc", b"iprp", b"ipco", b"hvcC", b"ispe", b"ipma", b"mdat")
        for mark in marks if name != "webp" else (b"VP8 ",):
            at = whole.find(mark)
            cuts |= {at, at + 2, at + 4, at + 8} if at > 0 else set()
        for cut in sorted(cuts):
            if 0 < cut < len(whole) - 30:
                yield Hostile(name=f"truncated/{name}-after-{cut}-bytes", body=whole[:cut])


def flipped() -> Iterator[Hostile]:
    """Bits of the headers: what comes may still be a picture, and is then answered as one."""
    rng = random.Random(3)
    reason = "the changed bit is one that still gives a picture"
    for name, make in CONTAINERS.items():
        whole = make()
        for number in range(30):
            changed = bytearray(whole)
            for _ in range(1 + number % 3):
                at = rng.randrange(min(len(whole), 400))
                changed[at] ^= 1 << rng.randrange(8)
            yield Hostile(name=f"flipped/{name}-{number}", body=bytes(changed), harmless=reason)


def lying() -> Iterator[Hostile]:
    for width, height in ((0, 0), (0, 64), (64, 0)):
        yield Hostile(name=f"lying/png-{width}x{height}", body=png(width, height, pixels=zlib.compress(bytes(64))))
    whole = jpeg()
    at = whole.index(b"\xff\xc0")
    for width, height in ((0, 80), (96, 0), (4_000, 3_000)):
        body = whole[: at + 5] + struct.pack(">HH", height, width) + whole[at + 9 :]
        yield Hostile(
            name=f"lying/jpeg-{width}x{height}",
            body=body,
            harmless="its scan ends too soon but with its own end; the rest is grey" if height and width else None,
        )
    for components in (0, 2, 5, 255):
        body = whole[: at + 9] + bytes([components]) + whole[at + 10 :]
        yield Hostile(name=f"lying/jpeg-of-{components}-components", body=body)
    for precision in (0, 2, 12, 16):
        body = whole[: at + 4] + bytes([precision]) + whole[at + 5 :]
        yield Hostile(name=f"lying/jpeg-of-{precision}-bits", body=body)
    for length in (0, 1, 2, 3, 65_535):
        body = whole[:4] + struct.pack(">H", length) + whole[6:]
        yield Hostile(
            name=f"lying/jpeg-segment-length-{length}", body=body, harmless="readers look for the next marker"
        )
    webp = encoded("WEBP")
    for size in (0, 1, 0xFFFFFFFF, 0x7FFFFFFF):
        body = webp[:4] + struct.pack("<I", size) + webp[8:]
        yield Hostile(name=f"lying/webp-riff-size-{size}", body=body, harmless="the size is passed over")
        body = webp[:16] + struct.pack("<I", size) + webp[20:]
        yield Hostile(name=f"lying/webp-chunk-size-{size}", body=body)
    for depth, colour in ((0, 2), (3, 2), (32, 2), (8, 1), (8, 7), (16, 3)):
        body = png(64, 64, depth=depth, colour=colour, pixels=zlib.compress((b"\0" + bytes(192)) * 64))
        yield Hostile(name=f"lying/png-depth-{depth}-colour-{colour}", body=body)
    for kind in (b"ftyp", b"meta", b"iloc", b"ipma", b"hvcC", b"iinf", b"pitm"):
        heic = encoded("HEIF")
        box = heic.index(kind) - 4
        for size in (0, 1, 7, 0xFFFFFFFF):
            body = heic[:box] + struct.pack(">I", size) + heic[box + 4 :]
            yield Hostile(
                name=f"lying/heic-{kind.decode()}-size-{size}", body=body,
                harmless="a size of 0 means up to the end, and nothing that is needed follows" if size == 0 else None,
            )  # fmt: skip


# ---- two things at once, and things that are no photographs


def polyglots() -> Iterator[Hostile]:
    reason = "the picture is whole, nothing else in the file is looked at, and nothing of it is sent back or kept"
    tails = {
        "zip": b"PK\x03\x04" + bytes(26) + b"x" * 100 + b"PK\x05\x06" + bytes(18),
        "html": b"<html><script>alert(1)</script></html>",
        "php": b"<?php system($_GET['c']); ?>",
        "pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
        "elf": b"\x7fELF" + bytes(60),
        "shell": b"\n#!/bin/sh\nrm -rf /\n",
        "rar": b"Rar!\x1a\x07\x01\0" + bytes(40),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "jar": b"PK\x03\x04META-INF/MANIFEST.MF",
        "another-jpeg": jpeg(),
    }
    for name, make in CONTAINERS.items():
        for tail_name, tail in tails.items():
            yield Hostile(name=f"polyglot/{name}-then-{tail_name}", body=make() + tail, harmless=reason)
    for name, make in CONTAINERS.items():
        for head in ("html", "pdf", "zip", "shell", "php"):
            yield Hostile(name=f"polyglot/{head}-then-{name}", body=tails[head] + make())
    yield Hostile(name="polyglot/gif-and-javascript", body=b"GIF89a/*" + bytes(200) + b"*/=1;alert(1)")
    for comment in (b"*/alert(1)/*", b"<?php phpinfo(); ?>", b"../../../../etc/passwd", b"{{7*7}}", b"' OR 1=1 --"):
        yield Hostile(
            name=f"polyglot/jpeg-comment-{comment[:6].hex()}",
            body=with_segments(segment(0xFE, comment)),
            harmless=reason,
        )


def others() -> Iterator[Hostile]:
    for image_format in (
        "GIF",
        "TIFF",
        "BMP",
        "ICO",
        "PPM",
        "TGA",
        "PCX",
        "SGI",
        "DDS",
        "JPEG2000",
        "AVIF",
        "EPS",
        "PDF",
    ):
        yield Hostile(name=f"other/{image_format.lower()}", body=encoded(image_format))
    frames = [picture(seed=n).quantize(8) for n in range(60)]
    yield Hostile(name="other/gif-animated", body=encoded("GIF", frames[0], save_all=True, append_images=frames[1:]))
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink"><image x:href="file:///etc/passwd"/></svg>'
    texts = {
        "svg": svg.encode(),
        "svg-entities": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;</svg>',
        "html": b"<!doctype html><html><body>404</body></html>",
        "text": b"rosa canina",
        "url": b"http://169.254.169.254/latest/meta-data/",
        "file-url": b"file:///etc/passwd",
        "push": b"push graphic-context\nfill 'url(https://example.com/\"|ls \"-la)'\npop graphic-context",
        "mvg": b"viewbox 0 0 1 1 image over 0,0 0,0 'ephemeral:/tmp/x'",
        "postscript": b"%!PS\n(/etc/passwd) (r) file",
        "psd": b"8BPS\0\1" + bytes(200),
        "xcf": b"gimp xcf file\0" + bytes(200),
        "jxl": b"\xff\x0a" + bytes(100),
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(100),
        "emf": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(100),
        "mp4": b"\0\0\0\x18ftypmp42" + bytes(200),
        "mov": b"\0\0\0\x14ftypqt  " + bytes(200),
        "zip": b"PK\x03\x04" + bytes(300),
        "gzip": zlib.compress(bytes(1 << 20), wbits=31),
        "pickle": b"\x80\x04cposix\nsystem\n(S'ls'\ntR.",
        "numpy": b"\x93NUMPY\1\0" + bytes(100),
        "lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
        "nulls": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "newlines": b"\n" * 100_000,
        "utf-16": "rosa".encode("utf-16") * 1000,
        "bom": b"\xef\xbb\xbf" * 1000,
    }
    for name, body in texts.items():
        yield Hostile(name=f"other/{name}", body=body)
    yield Hostile(name="other/empty", body=b"")
    rng = random.Random(7)
    magics = (b"", b"\xff\xd8\xff", PNG, b"RIFF\xff\xff\0\0WEBPVP8 ", b"RIFF\xff\xff\0\0WEBPVP8L", b"RIFF\xff\xff\0\0WEBPVP8X",
              b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\xff\xd8\xff\xe1\0\x20Exif\0\0")  # fmt: skip
    for magic in magics:
        for number in range(8):
            noise = rng.randbytes(rng.choice((1, 20, 300, 5_000, 100_000)))
            yield Hostile(name=f"other/noise-{magic[:4].hex()}-{magic[-4:].hex()}-{number}", body=magic + noise)


def shapes() -> Iterator[Hostile]:
    reason = "a picture, of a shape that no camera makes; it is answered, most likely as not recognised"
    for width, height in ((1, 1), (2, 1), (1, 2), (20_000, 1), (1, 20_000), (10_000, 3), (3, 10_000)):
        for image_format in ("PNG", "JPEG", "WEBP"):
            if image_format == "WEBP" and max(width, height) > 16_383:
                continue
            body = encoded(image_format, picture(width, height))
            yield Hostile(name=f"shape/{image_format.lower()}-{width}x{height}", body=body, harmless=reason)
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        image = picture().convert("L").convert("I;16") if mode == "I;16" else picture().convert(mode)
        yield Hostile(name=f"shape/png-mode-{mode}", body=encoded("PNG", image), harmless=reason)
    cmyk = encoded("JPEG", picture().convert("CMYK"))
    yield Hostile(name="shape/jpeg-cmyk", body=cmyk, harmless=reason)
    frames = [picture(seed=n) for n in range(300)]
    body = encoded("WEBP", frames[0], save_all=True, append_images=frames[1:], duration=1)
    yield Hostile(name="shape/webp-of-300-frames", body=body, harmless="its first frame is answered")


# ---- requests


def requests() -> Iterator[Hostile]:
    one = base64.b64encode(jpeg()).decode()
    said: dict[str, object] = {
        "a-list": [one],
        "a-string": one,
        "null": None,
        "a-number": 7,
        "no-photographs": {},
        "none": {"photographs": []},
        "a-string-of-photographs": {"photographs": one},
        "a-number-of-photographs": {"photographs": 3},
        "numbers": {"photographs": [1, 2, 3]},
        "nulls": {"photographs": [None]},
        "objects": {"photographs": [{"url": "http://169.254.169.254/"}]},
        "a-url": {"photographs": ["http://169.254.169.254/latest/meta-data/"]},
        "a-data-url": {"photographs": ["data:image/jpeg;base64," + one]},
        "too-many": {"photographs": [one] * 9},
        "very-many": {"photographs": [""] * 100_000},
        "many-numbers": {"photographs": [0.1] * 1_000_000},
        "line-breaks": {"photographs": [one[:40] + "\n" + one[40:]]},
        "spaces": {"photographs": [one[:40] + " " + one[40:]]},
        "url-safe": {"photographs": ["-_" * 50]},
        "no-padding": {"photographs": [one.rstrip("=")[:-1]]},
        "empty-string": {"photographs": [""]},
        "not-ascii": {"photographs": ["ß" * 100]},
        "one-good-one-bad": {"photographs": [one, base64.b64encode(b"no photograph").decode()]},
        "one-good-one-bomb": {"photographs": [one, base64.b64encode(png(65_535, 65_535, pixels=b"")).decode()]},
    }
    for name, content in said.items():
        yield Hostile(name=f"request/json-{name}", body=json.dumps(content).encode(), content_type="application/json")
    yield Hostile(
        name="request/json-padding", body=json.dumps({"photographs": [one + "===="]}).encode(), content_type="application/json",
        harmless="padding beyond the last group adds nothing",
    )  # fmt: skip
    raw = {
        "deep-lists": b"[" * 1_000_000,
        "deep-objects": b'{"photographs":' * 200_000,
        "deep-and-closed": b"[" * 100_000 + b"]" * 100_000,
        "empty": b"",
        "cut": b'{"photographs": ["' + one[:500].encode(),
        "two": b'{"photographs": []}{"photographs": []}',
        "trailing-comma": b'{"photographs": [],}',
        "nan": b'{"photographs": [NaN, Infinity]}',
        "long-number": b'{"photographs": ' + b"9" * 100_000 + b"}",
        "utf-16": '{"photographs": []}'.encode("utf-16"),
        "bad-utf-8": b'{"photographs": ["\xff\xfe"]}',
        "lone-surrogate": b'{"photographs": ["\\ud800"]}',
        "escapes": b'{"photographs": ["' + b"\\u0041" * 200_000 + b'"]}',
        "many-keys": b"{" + b",".join(b'"k%d":0' % n for n in range(200_000)) + b"}",
        "many-empty-objects": b"[" + b",".join([b"{}"] * 2_000_000) + b"]",
        "a-jpeg": jpeg(),
    }
    for name, body in raw.items():
        yield Hostile(name=f"request/json-{name}", body=body, content_type="application/json")
    types = (
        "text/plain", "text/html", "image/gif", "image/tiff", "image/svg+xml", "image/bmp", "image/*", "*/*",
        "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/xml",
        "application/pdf", "video/mp4",
        "application/json5", "application/jsonx", "image/jpegg", "; charset=utf-8", "image", "/", "a" * 4_000,
    )  # fmt: skip
    for content_type in types:
        yield Hostile(name=f"request/type-{content_type[:40]}", body=jpeg(), content_type=content_type)
    for content_type in ("image/png", "image/webp", "image/heic", "IMAGE/JPEG", "image/jpeg; charset=utf-8"):
        yield Hostile(
            name=f"request/jpeg-as-{content_type}", body=jpeg(), content_type=content_type,
            harmless="phones mislabel photographs; what it is is read from its bytes",
        )  # fmt: skip
    yield Hostile(name="request/21-mb", body=jpeg() + bytes(21 << 20), content_type="image/jpeg")


def files() -> Iterator[Hostile]:
    for kind in (bombs, metadata, truncated, flipped, lying, polyglots, others, shapes, requests):
        yield from kind()
