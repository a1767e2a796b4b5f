"""Names of image formats and of the files that hold them; imports nothing, so that a listing starts quickly."""

from typing import Final

# What Pillow may try. Its other readers (PostScript, Windows metafiles, ...) were never meant for strangers' files.
READ: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
# What a server takes from strangers: what phones and browsers send.
SERVED: Final = ("JPEG", "PNG", "WEBP", "HEIF")
EXTENSIONS: Final[dict[str, tuple[str, ...]]] = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "TIFF": ("tif", "tiff"),
    "BMP": ("bmp",),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif", "hif"),
}
READABLE: Final = frozenset(extension for extensions in EXTENSIONS.values() for extension in extensions)
# Pictures that are not read here, but that someone took for photographs: each becomes a finding, not a stray file.
UNREADABLE: Final = frozenset(
    ("svg", "psd", "jp2", "jxl", "ico", "tga", "eps", "pdf", "cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2")
)


def named_like(image_format: str, extension: str) -> bool:
    """Whether a file of this format is expected to carry this extension (without its dot)."""
    return extension.lower() in EXTENSIONS["JPEG" if image_format == "MPO" else image_format]


def extension_of(image_format: str) -> str:
    """The usual extension of a format, with its dot."""
    return "." + EXTENSIONS["JPEG" if image_format == "MPO" else image_format][0]
