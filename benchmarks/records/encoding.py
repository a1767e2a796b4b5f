"""What storing and decoding small costs: size and PSNR by JPEG quality and chroma, PSNR by the margin of decoding.

python benchmarks/records/encoding.py PHOTOGRAPHS
"""

import io
import random
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

paths = sorted(Path(sys.argv[1]).glob("*/*/*.jpg"))
random.Random(0).shuffle(paths)


def psnr(image: Image.Image, truth: Image.Image) -> float:
    squares = (np.asarray(image, float) - np.asarray(truth, float)) ** 2
    return float(10 * np.log10(255**2 / max(squares.mean(), 1e-9)))


def through_jpeg(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


# Shrunk once, so that the originals' own JPEG blocks are gone.
pictures = []
for path in paths[:400]:
    picture = Image.open(path).convert("RGB")
    pictures.append(picture.resize((picture.width * 4 // 5, picture.height * 4 // 5), Image.Resampling.LANCZOS))

print("chroma quality     kB  PSNR  decoded per core-second")
for name, subsampling in (("4:4:4", 0), ("4:2:0", 2)):
    for quality in (85, 90, 92, 95):
        stored = [through_jpeg(picture, quality=quality, subsampling=subsampling) for picture in pictures]
        started = time.process_time()
        decoded = [Image.open(io.BytesIO(data)).convert("RGB") for data in stored]
        seconds = time.process_time() - started
        mean_psnr = np.mean([psnr(a, b) for a, b in zip(decoded, pictures, strict=True)])
        mean_kb = np.mean([len(data) for data in stored]) / 1000
        print(f"{name:6s} {quality:7d} {mean_kb:6.1f} {mean_psnr:5.1f} {len(stored) / seconds:6.0f}")

# A wall of photographs stands for one with as much detail; sizes that libjpeg's eighths do not divide are the hard ones.
wall = Image.new("RGB", (1000, 750))
for number, path in enumerate(paths[400:435]):
    wall.paste(Image.open(path).convert("RGB"), (number // 5 * 160, number % 5 * 160))
print("\noriginal   shorter px  margin  decoded at   ms  PSNR  PSNR once stored")
for width, height in ((4000, 3000), (2500, 1875), (1000, 750)):
    original = through_jpeg(wall.resize((width, height), Image.Resampling.LANCZOS), quality=92)
    for shorter_px in (160, 256):
        size = (round(shorter_px * width / height), shorter_px)
        truth = Image.open(io.BytesIO(original)).resize(size, Image.Resampling.LANCZOS)
        for margin in (1, 2, 3):
            started = time.process_time()
            image = Image.open(io.BytesIO(original))
            image.draft(None, (margin * shorter_px, margin * shorter_px))  # type: ignore[arg-type]
            small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            ms = 1000 * (time.process_time() - started)
            stored = Image.open(io.BytesIO(through_jpeg(small, quality=92, subsampling=0)))
            print(
                f"{width}x{height:<5d} {shorter_px:10d} {margin:7d}  {image.width:5d}x{image.height:<5d}"
                f"{ms:4.0f} {min(psnr(small, truth), 99):5.1f} {psnr(stored, truth):5.1f}"
            )
