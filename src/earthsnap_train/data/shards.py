"""The records of one group on disk: a shard per split, and the index that finds, names and guards every image.

::

    train.rec train.idx train.lst   val.*   test.*     as MXNet, DALI and SageMaker read them (``recordio``)
    index.json                                         ours: where each image lies, checksums, class list and digest
"""

import hashlib
import json
import mmap
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from earthsnap_train.data import recordio
from earthsnap_train.data.recordio import Record
from earthsnap_train.errors import IntegrityError

SPLITS: Final = ("train", "val", "test")
FORMAT: Final = "earthsnap-records"
VERSION: Final = 1
_REMEDY: Final = "Remove this artifact and run again: records are made anew from the original photographs."


def classes_digest(classes: Sequence[str]) -> str:
    """Names a class list: equal digests mean the same species in the same order."""
    return hashlib.sha256("\n".join(classes).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One ``.rec`` file as the index describes it; record ``i`` fills ``offsets[i]`` to ``offsets[i + 1]``.

    ``crc32s`` are those of the images alone, so that a picture keeps its checksum when others come before it.
    Maps the file on first use, so that it can be handed to worker processes.
    """

    path: Path
    image_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    crc32s: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.image_ids)

    def read(self, position: int) -> Record:
        """One record, checked to the last bit; raises ``IntegrityError`` naming the shard, the record and the image."""
        data = self._mapped[self.offsets[position] : self.offsets[position + 1]]
        try:
            record = recordio.decode(data)
        except ValueError as error:
            raise self._damaged(position, str(error)) from error
        if zlib.crc32(record.image) != self.crc32s[position]:
            raise self._damaged(position, "the image's checksum differs")
        written = Record(label=float(self.labels[position]), record_id=position, image=record.image)
        if recordio.encode(written) != data:
            raise self._damaged(position, "its header differs")
        return record

    @cached_property
    def _mapped(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _damaged(self, position: int, why: str) -> IntegrityError:
        what = f"record {position} (image {self.image_ids[position]}) is not what was written: {why}"
        return IntegrityError(what, where=str(self.path), remedy=_REMEDY)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_mapped"}


@dataclass(frozen=True, kw_only=True)
class RecordFolder:
    """An opened folder of records. ``classes``: what the labels in the records' own headers mean."""

    path: Path
    classes: tuple[str, ...]
    shorter_px: int
    jpeg_quality: int
    shards: dict[str, Shard]

    @classmethod
    def open(cls, path: Path, *, classes: Sequence[str] | None = None) -> Self:
        """Reads the index; every file must be there at its full length. Contents are checked as they are read.

        With ``classes`` the folder must have been written for exactly these species in this order.
        Raises ``IntegrityError``.
        """
        index = _read_index(path / "index.json")
        written = tuple(index["classes"])
        if classes_digest(written) != index["classes_digest"]:
            raise _broken(path / "index.json", "the class list does not have the digest that was written with it")
        if classes is not None and tuple(classes) != written:
            raise _broken(path / "index.json", _first_difference(written, tuple(classes)))
        shards = {split: _open_shard(path, split, index["shards"][split]) for split in SPLITS}
        return cls(
            path=path,
            classes=written,
            shorter_px=index["shorter_px"],
            jpeg_quality=index["jpeg_quality"],
            shards=shards,
        )

    def verify(self) -> None:
        """Reads every byte and compares it with the index; raises ``IntegrityError`` at the first that differs."""
        for shard in self.shards.values():
            for position in range(len(shard)):
                shard.read(position)
            rows = lst_rows(shard.labels.tolist(), shard.image_ids, self.classes)
            texts = {".idx": recordio.format_idx(shard.offsets[:-1]), ".lst": recordio.format_lst(rows)}
            for suffix, text in texts.items():
                if shard.path.with_suffix(suffix).read_bytes() != text.encode():
                    raise _broken(shard.path.with_suffix(suffix), f"does not describe the records of {shard.path.name}")


@dataclass(kw_only=True)
class ShardWriter:
    """Appends records to ``<split>.rec``; ``finish`` adds ``.idx`` and ``.lst`` and returns the index entry."""

    folder: Path
    split: str
    classes: Sequence[str]
    _image_ids: list[str] = field(default_factory=list)
    _labels: list[int] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=lambda: [0])
    _crc32s: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = (self.folder / f"{self.split}.rec").open("xb")

    def append(self, *, image_id: str, label: int, image: bytes) -> None:
        data = recordio.encode(Record(label=float(label), record_id=len(self._image_ids), image=image))
        self._file.write(data)
        self._image_ids.append(image_id)
        self._labels.append(label)
        self._offsets.append(self._offsets[-1] + len(data))
        self._crc32s.append(zlib.crc32(image))

    def finish(self) -> dict[str, Any]:
        self._file.close()
        place = self.folder / f"{self.split}.rec"
        rows = lst_rows(self._labels, self._image_ids, self.classes)
        place.with_suffix(".idx").write_text(recordio.format_idx(self._offsets[:-1]), "utf-8")
        place.with_suffix(".lst").write_text(recordio.format_lst(rows), "utf-8")
        return {
            "image_ids": self._image_ids,
            "offsets": self._offsets,
            "labels": self._labels,
            "crc32s": self._crc32s,
        }


def find_images(folders: Sequence[Path], image_ids: Sequence[str]) -> tuple[list[Shard], npt.NDArray[np.int64]]:
    """All shards of ``folders``, and for each image [number of its shard, position in it] as an array [N, 2].

    Raises ``IntegrityError`` for an image that none of them has.
    """
    shards = [shard for folder in folders for shard in RecordFolder.open(folder).shards.values()]
    places = {
        image_id: (number, position)
        for number, shard in enumerate(shards)
        for position, image_id in enumerate(shard.image_ids)
    }
    missing = [image_id for image_id in image_ids if image_id not in places]
    if missing:
        raise IntegrityError(
            f"{len(missing)} of {len(image_ids)} examples are in none of {len(folders)} folders of records, "
            f"the first of them image {missing[0]}",
            remedy="Examples and records must come from one manifest: run `plan` again.",
        )
    return shards, np.array([places[image_id] for image_id in image_ids], dtype=np.int64).reshape(-1, 2)


def write_index(
    folder: Path, *, classes: Sequence[str], shorter_px: int, jpeg_quality: int, shards: dict[str, dict[str, Any]]
) -> None:
    index = {
        "format": FORMAT,
        "version": VERSION,
        "classes": list(classes),
        "classes_digest": classes_digest(classes),
        "shorter_px": shorter_px,
        "jpeg_quality": jpeg_quality,
        "shards": shards,
    }
    text = _canonical(index | {"sha256": hashlib.sha256(_canonical(index).encode()).hexdigest()})
    (folder / "index.json").write_text(text + "\n", "utf-8")


def lst_rows(labels: Iterable[int], image_ids: Iterable[str], classes: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Rows of the ``.lst`` file. Paths name species and image: originals lie elsewhere on each machine."""
    pairs = zip(labels, image_ids, strict=True)
    return [(label, f"{classes[label]}/{image_id}.jpg") for label, image_id in pairs]


def _canonical(index: dict[str, Any]) -> str:
    return json.dumps(index, sort_keys=True, separators=(",", ":"))


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise _broken(path, "the index is missing, so no record can be found") from None
    except ValueError as error:
        raise _broken(path, f"the index cannot be read: {error}") from error
    if not isinstance(index, dict) or (index.get("format"), index.get("version")) != (FORMAT, VERSION):
        raise IntegrityError(
            "not an index of records that this version reads",
            where=str(path),
            allowed=f"format {FORMAT!r}, version {VERSION}",
            remedy=_REMEDY,
        )
    if index.pop("sha256", None) != hashlib.sha256(_canonical(index).encode()).hexdigest():
        raise _broken(path, "the index is not what was written: its own checksum differs")
    return index


def _open_shard(folder: Path, split: str, entry: dict[str, Any]) -> Shard:
    path = folder / f"{split}.rec"
    shard = Shard(
        path=path,
        image_ids=tuple(entry["image_ids"]),
        offsets=np.asarray(entry["offsets"], dtype=np.int64),
        labels=np.asarray(entry["labels"], dtype=np.int64),
        crc32s=np.asarray(entry["crc32s"], dtype=np.uint32),
    )
    for needed in (path, path.with_suffix(".idx"), path.with_suffix(".lst")):
        if not needed.is_file():
            raise _broken(needed, "the file is missing")
    num_bytes, expected = path.stat().st_size, int(shard.offsets[-1])
    if num_bytes < expected:
        first_lost = int(np.searchsorted(shard.offsets, num_bytes, side="right")) - 1
        image_id = shard.image_ids[first_lost]
        what = f"truncated: {num_bytes} of {expected} bytes; record {first_lost} (image {image_id}) is the first lost"
        raise _broken(path, what)
    if num_bytes > expected:
        raise _broken(path, f"{num_bytes - expected} bytes follow the last record")
    return shard


def _first_difference(written: tuple[str, ...], expected: tuple[str, ...]) -> str:
    for position, (ours, theirs) in enumerate(zip(written, expected, strict=False)):
        if ours != theirs:
            return f"class {position} is {ours!r} in these records and {theirs!r} here"
    shorter, longer = sorted((written, expected), key=len)
    goes_on = "these records go on" if longer is written else "the list here goes on"
    return f"the class lists agree for {len(shorter)} classes; then {goes_on} with {longer[len(shorter)]!r}"


def _broken(path: Path, what: str) -> IntegrityError:
    return IntegrityError(what, where=str(path), remedy=_REMEDY)
