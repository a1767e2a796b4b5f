"""Features of a data set's photographs, and of things that are no plant, by the trunk of a release.

    python benchmarks/refusal/features.py registry/plants-dev/1 ../shared/data/plants-dev NO_PLANTS features.npz

NO_PLANTS: a folder of pictures of anything else; each is looked at whole and by its four quarters. Textures and text are drawn.
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from earthsnap_train.data.image_file import open_rgb
from earthsnap_train.data.preprocess import prepare
from earthsnap_train.release.load import open_release

NUM_DRAWN = 30  # of each kind
PX = 224
RANKS = ("group", "family", "genus")  # highest first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("no_plants", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    engine = open_release(options.release).engine

    def features(image: Image.Image) -> np.ndarray:
        pixels_CHW = prepare(image, engine.family.preprocessing)
        return engine.models.features(engine.family.root.trunk, pixels_CHW[None])[0]

    def of_file(path: Path) -> np.ndarray:
        return features(open_rgb(path.read_bytes(), max_megapixels=100))

    rows = list(csv.DictReader((options.data / "labels.csv").open()))
    with ThreadPoolExecutor(2) as pool:
        plants_NF = np.stack(list(pool.map(of_file, [options.data / row["path"] for row in rows])))
        drawn = list(drawings())
        drawn_NF = np.stack(list(pool.map(features, [image for _, image in drawn])))
        cut = [part for path in sorted(options.no_plants.iterdir()) for part in parts(path)]
        cut_NF = np.stack(list(pool.map(features, cut)))
    np.savez_compressed(
        options.out,
        features=plants_NF,
        cluster=clusters(options.data, [row["path"] for row in rows]),
        species=[row["class"] for row in rows],
        lineage=[[row[rank] for rank in RANKS] for row in rows],
        drawn=drawn_NF,
        drawn_kind=[kind for kind, _ in drawn],
        photographed=cut_NF,
    )


def clusters(data: Path, paths: list[str]) -> list[str]:
    """Near-duplicates share the name of one of them."""
    same = {path: path for path in paths}
    for row in csv.DictReader((data / "near_duplicates.csv").open()):
        same = {path: same[row["path_a"]] if of == same[row["path_b"]] else of for path, of in same.items()}
    return [same[path] for path in paths]


def parts(path: Path) -> Iterator[Image.Image]:
    whole = open_rgb(path.read_bytes(), max_megapixels=100)
    width, height = whole.width // 2, whole.height // 2
    yield whole
    for x in (0, width):
        for y in (0, height):
            yield whole.crop((x, y, x + width, y + height))


def drawings() -> Iterator[tuple[str, Image.Image]]:
    generator = np.random.default_rng(0)
    for _ in range(NUM_DRAWN):
        first_C, last_C = generator.integers(0, 256, size=(2, 3))
        yield "plain", Image.new("RGB", (PX, PX), tuple(first_C.tolist()))
        yield "noise", _image(generator.integers(0, 256, size=(PX, PX, 3)))
        coarse = _image(generator.integers(0, 256, size=(7, 7, 3)))
        yield "blobs", coarse.resize((PX, PX), Image.Resampling.BICUBIC)
        slope_PP = np.add.outer(*(generator.uniform(-1, 1) * np.linspace(0, 1, PX) for _ in range(2)))
        slope_PP1 = ((slope_PP - slope_PP.min()) / np.ptp(slope_PP))[..., None]
        yield "gradient", _image(first_C * slope_PP1 + last_C * (1 - slope_PP1))
        step = int(generator.integers(8, 60))
        cells_PP = np.add.outer(np.arange(PX) // step, np.arange(PX) // step) % 2
        yield "checkerboard", _image(np.where(cells_PP[..., None], first_C, last_C))
        yield (
            "stripes",
            _image(np.where((np.arange(PX) // step % 2)[:, None, None], first_C, last_C) + np.zeros((PX, PX, 3))),
        )
        page = Image.new("RGB", (PX, PX), "white")
        words = [" ".join("".join(chr(c) for c in generator.integers(97, 123, 6)) for _ in range(6)) for _ in range(14)]
        ImageDraw.Draw(page).multiline_text((6, 6), "\n".join(words), fill="black")
        yield "text", page


def _image(pixels_PPC: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels_PPC.clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
