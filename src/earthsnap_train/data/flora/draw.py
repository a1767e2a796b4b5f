"""The stage that draws a synthetic flora: photographs, their labels, and which of them are faulty on purpose."""

import csv
import ctypes
import io
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from PIL import Image

from earthsnap_train.context import Context
from earthsnap_train.data.flora.faults import Shot, Treatment, shots
from earthsnap_train.data.flora.photograph import photograph
from earthsnap_train.data.flora.species import species_of
from earthsnap_train.processes import pool
from earthsnap_train.spec.dataset import SyntheticFlora

_SHOTS_PER_TASK = 24
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Writes ``photographs/``, ``labels.csv`` and ``faults.csv`` (paths in both are relative to ``photographs/``).

    The bytes are the same for any number of workers.
    """
    flora = SyntheticFlora.model_validate(settings)
    wanted = shots(flora)
    # Drawings gather in scratch, each complete or absent: after a kill only those that are missing are drawn.
    drawn = context.scratch / "photographs"
    missing = [shot for shot in wanted if not (drawn / shot.photograph.path).exists()]
    done = len(wanted) - len(missing)
    context.events.progress(done, len(wanted), "drawings")
    for num_drawn in _draw_all(flora, missing, drawn, context.resources.workers):
        done += num_drawn
        context.events.progress(done, len(wanted), "drawings")
    shutil.move(drawn, out / "photographs")
    _write_csv(out / "labels.csv", _LABEL_COLUMNS, (_label(shot) for shot in wanted))
    _write_csv(out / "faults.csv", _FAULT_COLUMNS, (_fault(shot) for shot in wanted if shot.fault))


def _draw_all(flora: SyntheticFlora, missing: Sequence[Shot], folder: Path, workers: int) -> Iterable[int]:
    """Draws every shot and yields how many each finished task added."""
    tasks = [missing[start : start + _SHOTS_PER_TASK] for start in range(0, len(missing), _SHOTS_PER_TASK)]
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield _draw(flora, task, folder)
        return
    processes = min(workers, len(tasks))
    with pool(processes, _keep_memory) as workers_at_it:
        try:
            for finished in as_completed([workers_at_it.submit(_draw, flora, task, folder) for task in tasks]):
                yield finished.result()
        except BaseException:
            workers_at_it.shutdown(cancel_futures=True)
            raise


def _keep_memory() -> None:
    """Tells glibc to reuse freed memory rather than return it: every drawing needs the same few megabytes again.

    Saves a worker the page faults, a sixth of its time; elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)


def _draw(flora: SyntheticFlora, task: Sequence[Shot], folder: Path) -> int:
    species = species_of(flora)
    for shot in task:
        subject = shot.subject
        data = photograph(
            species[subject.species_index],
            seed=flora.seed,
            plant=subject.plant,
            photo=subject.photo,
            image_px=flora.image_px,
        )
        path = folder / shot.photograph.path
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(_treated(data, shot.treatment))
        unfinished.replace(path)
    return len(task)


def _treated(data: bytes, treatment: Treatment) -> bytes:
    match treatment:
        case "reencoded":
            stream = io.BytesIO()
            Image.open(io.BytesIO(data)).save(stream, "JPEG", quality=72)
            return stream.getvalue()
        case "truncated":
            return data[: len(data) * 2 // 5]
        case "zero_bytes":
            return b""
        case "not_an_image":
            return b"<!doctype html><title>404</title><p>This photograph has moved.</p>\n"
        case "none" | "exact_copy" | "relabelled":
            return data


_LABEL_COLUMNS = (
    "path", "species", "scientific_name", "common_name", "observation_id", "order", "family", "genus",
)  # fmt: skip
_FAULT_COLUMNS = ("path", "fault", "detail", "related")


def _label(shot: Shot) -> tuple[str, ...]:
    row = shot.photograph
    ranks = dict(row.ranks)
    return (
        row.path,
        row.species_id,
        row.scientific_name,
        row.common_name,
        row.observation_id,
        ranks["order"],
        ranks["family"],
        ranks["genus"],
    )


def _fault(shot: Shot) -> tuple[str, ...]:
    return (shot.photograph.path, shot.fault, shot.treatment, shot.related)


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
