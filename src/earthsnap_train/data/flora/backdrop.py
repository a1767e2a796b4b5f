"""What is behind the plant: meadow, wood, sky, water, wall or a sheet of paper, out of focus. Linear rgb."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from earthsnap_train.data.flora.pigment import linear
from earthsnap_train.data.flora.surface import Array

_PALETTES: dict[str, tuple[str, ...]] = {
    "meadow": ("7f9f4a", "4f7a34", "a5b75a", "36592c", "cdd07a", "5d8740"),
    "wood": ("23331f", "37482a", "1a2418", "51603a", "6d7446", "2c2a1c"),
    "dusk": ("5a4a63", "8a6a78", "c79a86", "3b3a55", "e0b893", "2f2b3d"),
    "sky": ("a9c9e6", "cfe2f1", "86b0da", "e8f0f5", "9fc0d8", "bcd6e8"),
    "water": ("41666f", "5f8a8c", "2d4a55", "86aba5", "a9c4b8", "37585a"),
    "earth": ("6b5138", "8a6c4a", "4d3a28", "a58861", "5f4a2e", "777040"),
    "stone": ("8c8a84", "a7a49b", "6e6d69", "bdb9ae", "787a70", "95948a"),
    "paper": ("f3ead6", "efe4cb", "f7f1e3", "eadfc6", "f1e9d9", "f5eedd"),
    "night": ("101418", "1a1e22", "14181e", "20252a", "0c0f12", "181c1c"),
    "blossom": ("c98aa6", "e3b2c0", "8b9a5c", "b3727f", "d9c0a8", "6d8a4f"),
}


def backdrop(size_px: int, random: np.random.Generator) -> Array:
    """A soft background, [size_px, size_px, 3] linear."""
    kind = str(random.choice(list(_PALETTES)))
    palette = _PALETTES[kind]
    small = max(24, size_px // 2)
    image = Image.new("RGB", (small, small), f"#{palette[0]}")
    draw = ImageDraw.Draw(image)
    if kind in ("paper", "sky", "night"):
        _wash(draw, palette, small, random)
        blur = 0.22
    else:
        _foliage(draw, palette, small, random)
        blur = random.uniform(0.035, 0.09)
    image = image.filter(ImageFilter.GaussianBlur(small * blur))
    if kind not in ("paper", "night") and random.random() < 0.55:
        image = _bokeh(image, palette, small, random)
    image = image.resize((size_px, size_px), Image.Resampling.BICUBIC)
    scene = (np.asarray(image, np.float32) / 255) ** np.float32(2.2)
    return np.asarray(scene * _falloff(size_px, random)[..., None], np.float32)


def _wash(draw: ImageDraw.ImageDraw, palette: tuple[str, ...], small: int, random: np.random.Generator) -> None:
    for _ in range(7):
        x, y, r = random.uniform(0, small), random.uniform(0, small), random.uniform(0.3, 0.6) * small
        draw.ellipse((x - r, y - r, x + r, y + r), fill=f"#{random.choice(palette)}")


def _foliage(draw: ImageDraw.ImageDraw, palette: tuple[str, ...], small: int, random: np.random.Generator) -> None:
    for _ in range(26):
        x, y = random.uniform(-0.1, 1.1, 2) * small
        reach, angle, width = (
            random.uniform(0.15, 0.6) * small,
            random.uniform(0, np.pi),
            random.uniform(0.03, 0.16) * small,
        )
        dx, dy = reach * np.cos(angle), reach * np.sin(angle)
        px, py = -width * np.sin(angle), width * np.cos(angle)
        corners = [(x - dx, y - dy), (x + px, y + py), (x + dx, y + dy), (x - px, y - py)]
        draw.polygon(corners, fill=f"#{random.choice(palette)}")


def _bokeh(image: Image.Image, palette: tuple[str, ...], small: int, random: np.random.Generator) -> Image.Image:
    """Points of light, blown up to discs by the lens."""
    lights = Image.new("RGB", image.size)
    draw = ImageDraw.Draw(lights)
    warm = random.choice(["fff1c9", "ffffff", "ffe0e6", palette[2], palette[4]])
    r = random.uniform(0.03, 0.10) * small
    for _ in range(int(random.integers(4, 13))):
        x, y = random.uniform(0, small, 2)
        strength = random.uniform(0.15, 0.5)
        colour = tuple(int(int(warm[i : i + 2], 16) * strength) for i in (0, 2, 4))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    lights = lights.filter(ImageFilter.GaussianBlur(small * 0.014))
    screen = 255 - (255 - np.asarray(image, np.uint16)) * (255 - np.asarray(lights, np.uint16)) // 255
    return Image.fromarray(screen.astype(np.uint8))


def _falloff(size_px: int, random: np.random.Generator) -> Array:
    """Light that comes from one side."""
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 0.45)
    line = np.linspace(-1, 1, size_px, dtype=np.float32)
    return np.asarray(
        1 - strength * (0.5 + 0.35 * (np.cos(angle) * line[None] + np.sin(angle) * line[:, None])), np.float32
    )


def tint(random: np.random.Generator) -> Array:
    """The colour of daylight: from a warm evening to blue shade."""
    return linear(str(random.choice(["ffe2b8", "fff0d8", "ffffff", "f2f6ff", "e2ecff"])))
