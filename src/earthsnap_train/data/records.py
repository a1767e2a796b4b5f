"""Stage ``records``: the photographs of one group, decoded once, resized once, packed into shards.

Pictures are stored as JPEG without chroma subsampling: at equal size it keeps 1 dB more than 4:2:0 at a higher quality
(``benchmarks/records``), and leaves of one colour differ in little else.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final

import PIL
from PIL import Image, features
from pydantic import Field

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.image_file import ImageRefused, open_rgb
from earthsnap_train.data.originals import original_reader
from earthsnap_train.data.preprocess import DECODE_MARGIN
from earthsnap_train.data.shards import SPLITS, RecordFolder, Shard, ShardWriter, write_index
from earthsnap_train.errors import DataError, IntegrityError
from earthsnap_train.spec.model import SpecModel

# Raise it when the same original would be encoded to other bytes: records of an older recipe are then not copied.
_RECIPE: Final = 1
_CHUNK_IMAGES: Final = 512


class RecordsSettings(SpecModel):
    """``shorter_px``: the shorter side stored, unless the original is smaller. ``classes``: what labels mean."""

    shorter_px: Annotated[int, Field(ge=1)]
    jpeg_quality: Annotated[int, Field(ge=50, le=100)]
    max_megapixels: Annotated[float, Field(gt=0)]
    classes: list[str]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """``examples`` says which photographs; ``manifest`` and ``photographs`` say where their bytes are."""
    s = RecordsSettings.model_validate(settings)
    label_of = {species_id: label for label, species_id in enumerate(s.classes)}
    examples = Examples.read(inputs["examples"])
    _check_species(examples, inputs["examples"], known=label_of)
    pictures = _Pictures(s, original_reader(inputs["manifest"], inputs["photographs"]), context.previous)

    shards: dict[str, dict[str, Any]] = {}
    num_done = 0
    for split in SPLITS:
        rows = examples.of(split)
        writer = ShardWriter(folder=out, split=split, classes=s.classes)
        jpegs = _in_threads(pictures.jpeg, rows.image_ids, context.resources.workers)
        for image_id, species_id, jpeg in zip(rows.image_ids, rows.species_ids, jpegs, strict=True):
            writer.append(image_id=image_id, label=label_of[species_id], image=jpeg)
            num_done += 1
            context.events.progress(num_done, len(examples), "images")
        shards[split] = writer.finish()
    write_index(out, classes=s.classes, shorter_px=s.shorter_px, jpeg_quality=s.jpeg_quality, shards=shards)
    _recipe_file(out).parent.mkdir()
    _recipe_file(out).write_text(_recipe(s), "utf-8")


def encode_picture(image: Image.Image, *, shorter_px: int, jpeg_quality: int) -> bytes:
    """JPEG bytes of an RGB photograph, its shorter side brought down to ``shorter_px`` (never up), without metadata."""
    scale = shorter_px / min(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=jpeg_quality, subsampling=0, comment=b"")
    return buffer.getvalue()


class _Pictures:
    """Image id -> JPEG bytes: copied from the previous records where they were made the same way, else encoded."""

    def __init__(self, s: RecordsSettings, read_original: Callable[[str], bytes], previous: Path | None) -> None:
        self._s = s
        self._read_original = read_original
        self._earlier = _earlier_records(previous, _recipe(s))

    def jpeg(self, image_id: str) -> bytes:
        if image_id in self._earlier:
            shard, position = self._earlier[image_id]
            try:
                return shard.read(position).image
            except IntegrityError:
                pass  # a damaged copy is no reason to stop: the original is still there
        try:
            image = open_rgb(
                self._read_original(image_id),
                max_megapixels=self._s.max_megapixels,
                shorter_px=DECODE_MARGIN * self._s.shorter_px,
            )
        except ImageRefused as refusal:
            raise DataError(
                f"photograph {image_id} passed its checks and cannot be opened now ({refusal.code}): {refusal.what}",
                remedy="Was dataset.qa.max_megapixels lowered? Run again, so that ingest decides.",
            ) from refusal
        return encode_picture(image, shorter_px=self._s.shorter_px, jpeg_quality=self._s.jpeg_quality)


def _check_species(examples: Examples, folder: Path, *, known: Mapping[str, int]) -> None:
    strangers = sorted({species_id for species_id in examples.species_ids if species_id not in known})
    if strangers:
        raise IntegrityError(
            f"examples of {', '.join(map(repr, strangers[:3]))}, which the class list does not have",
            where=str(folder / "examples.parquet"),
            remedy="Examples and class list must come from one grouping: run `plan` again.",
        )


def _in_threads(function: Callable[[str], bytes], image_ids: Sequence[str], workers: int) -> Iterator[bytes]:
    """Results in order, a chunk at a time so that memory stays small. Pillow lets go of the interpreter's lock."""
    if workers <= 1:
        yield from map(function, image_ids)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(image_ids), _CHUNK_IMAGES):
            yield from pool.map(function, image_ids[start : start + _CHUNK_IMAGES])


def _earlier_records(previous: Path | None, recipe: str) -> dict[str, tuple[Shard, int]]:
    if previous is None or not _recipe_file(previous).is_file() or _recipe_file(previous).read_text("utf-8") != recipe:
        return {}
    try:
        folder = RecordFolder.open(previous)
    except IntegrityError:
        return {}
    return {
        image_id: (shard, position)
        for shard in folder.shards.values()
        for position, image_id in enumerate(shard.image_ids)
    }


def _recipe(s: RecordsSettings) -> str:
    """Everything besides the original that the encoded bytes depend on."""
    parts = s.model_dump(exclude={"classes"}) | {
        "recipe": _RECIPE,
        "pillow": PIL.__version__,
        "libjpeg": features.version("jpg"),
    }
    return json.dumps(parts, sort_keys=True)


def _recipe_file(folder: Path) -> Path:
    # Among the notes: a new Pillow that encodes the same bytes must not make the records new.
    return folder / "notes" / "recipe.json"
