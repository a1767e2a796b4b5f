"""One photograph of one plant: viewpoint, light, background, lens and film. A pure function of its seeds."""

import io
import zlib
from functools import reduce

import numpy as np
from PIL import Image, ImageFilter

from earthsnap_train.data.flora.backdrop import backdrop, tint
from earthsnap_train.data.flora.plant import Plant, grow
from earthsnap_train.data.flora.raster import Camera, Light, Picture, render
from earthsnap_train.data.flora.species import FloraSpecies
from earthsnap_train.data.flora.surface import Array, about_x, about_y, about_z, array

SUPERSAMPLING = 2
_JPEG_QUALITY = 90


def photograph(species: FloraSpecies, *, seed: int, plant: int, photo: int, image_px: int) -> bytes:
    """A JPEG of ``image_px`` squared."""
    # Names rather than positions seed the plant, so that it does not change when other species join the flora.
    identity = [seed, zlib.crc32(species.species_id.encode()), plant]
    grown = grow(species, np.random.default_rng([*identity, 0]))
    random = np.random.default_rng([*identity, photo + 1])
    image = _developed(grown, random, image_px)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def _camera(plant: Plant, random: np.random.Generator) -> Camera:
    yaw, pitch, roll = random.uniform(-0.6, 0.6), random.uniform(-0.15, 0.5), random.normal(0, 0.16)
    turn = about_z(np.array([roll]))[0] @ about_x(np.array([pitch]))[0] @ about_y(np.array([yaw]))[0]
    return Camera(
        turn_33=turn.astype(np.float32),
        target_3=plant.focus_3,
        zoom=float(random.uniform(0.66, 0.98) / plant.radius),
        centre=(float(random.uniform(0.41, 0.59)), float(random.uniform(0.40, 0.56))),
        perspective=float(random.uniform(0.04, 0.14)),
    )


def _light(random: np.random.Generator) -> Light:
    towards = np.array([random.uniform(-1, 1), random.uniform(0.15, 1.0), random.uniform(-0.15, 0.9)])
    towards /= np.linalg.norm(towards)
    harshness = random.uniform(0.35, 1.0)
    sky = tint(random) * random.uniform(0.5, 0.75) * (1.25 - 0.5 * harshness)
    return Light(
        towards_3=towards.astype(np.float32),
        sun_3=(tint(random) * (1.15 * harshness)).astype(np.float32),
        sky_3=sky.astype(np.float32),
        ground_3=(sky * np.array([0.42, 0.45, 0.36])).astype(np.float32),
        softness=float(random.uniform(0.0, 0.35)),
    )


def _developed(plant: Plant, random: np.random.Generator, image_px: int) -> Image.Image:
    camera, light = _camera(plant, random), _light(random)
    picture = render(plant.pieces, camera, light, image_px * SUPERSAMPLING, reach=2.4 * plant.radius)
    scene = backdrop(image_px, random)
    rgb, cover, depth = _reduced(picture, image_px)
    scene = rgb + scene * (1 - cover[..., None])
    exposure = np.exp2(random.normal(0.15, 0.30))
    encoded = _encoded(scene * (exposure * tint(random) ** np.float32(0.5)), random)
    image = Image.fromarray(encoded)
    image = _focused(image, cover, depth, plant.radius, random)
    return _grained(image, random)


def _reduced(picture: Picture, image_px: int) -> tuple[Array, Array, Array]:
    """Means over every pixel's samples; the depth is that of the nearest."""
    s = SUPERSAMPLING
    rgb = picture.rgb_HW3.reshape(image_px, s, image_px, s, 3)
    cover = picture.cover_HW.reshape(image_px, s, image_px, s)
    depth = picture.depth_HW.reshape(image_px, s, image_px, s)
    # Sums of slices are several times faster than a mean over two short axes.
    total = reduce(np.add, (rgb[:, i, :, j] for i in range(s) for j in range(s)))
    share = reduce(np.add, (cover[:, i, :, j] for i in range(s) for j in range(s)))
    nearest = reduce(np.maximum, (depth[:, i, :, j] for i in range(s) for j in range(s)))
    return array(total / s**2), array(share / s**2), nearest


def _encoded(scene: Array, random: np.random.Generator) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Film: a soft shoulder for highlights, contrast and saturation of its own, then sRGB."""
    gray = scene.mean(axis=2, keepdims=True)
    scene = np.maximum(gray + (scene - gray) * random.uniform(0.85, 1.2), 0)
    scene = scene * (1 + scene * 0.16) / (1 + scene * 0.55) * 1.12
    line = np.linspace(-1, 1, len(scene), dtype=np.float32) ** 2
    vignette = 1 - random.uniform(0, 0.35) * 0.5 * (line[None] + line[:, None])
    shown = np.clip(scene * vignette[..., None], 0, 1) ** np.float32(1 / 2.2)
    contrast = random.uniform(0.92, 1.12)
    return np.asarray(np.clip(0.5 + (shown - 0.5) * contrast, 0, 1) * 255 + 0.5, np.uint8)


def _focused(image: Image.Image, cover: Array, depth: Array, radius: float, random: np.random.Generator) -> Image.Image:
    """What lies well behind the flower goes soft."""
    wide_open = random.uniform(0.3, 1.0)
    blurred = image.filter(ImageFilter.GaussianBlur(image.width * 0.016 * wide_open + 0.4))
    behind = np.clip((-depth - 0.6 * radius) / (0.8 * radius), 0, 1) * (cover > 0)
    # The backdrop is soft already. Blurring it beside a sharp petal would ring the petal with a halo, so only a rim
    # around what is itself out of focus is blurred with it.
    mask = Image.fromarray(np.asarray(behind * 255, np.uint8)).filter(ImageFilter.BoxBlur(2))
    sharp = Image.fromarray(np.asarray((cover > 0) * (behind < 0.02) * 255, np.uint8))
    mask.paste(0, mask=sharp)
    return Image.composite(blurred, image, mask)


def _grained(image: Image.Image, random: np.random.Generator) -> Image.Image:
    grain = random.normal(0, random.uniform(0.3, 2.4), (image.height, image.width)).astype(np.float32)
    noisy = np.asarray(image, np.float32) + grain[..., None]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
