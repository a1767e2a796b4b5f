"""One release, ready to answer: what the routes of the app share, without HTTP."""

import os
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.formats import SERVED
from earthsnap_train.data.image_file import ImageRefused, decoding_cost, open_header
from earthsnap_train.data.preprocess import decoded_px, prepare_opened
from earthsnap_train.errors import did_you_mean
from earthsnap_train.processes import usable_cores
from earthsnap_train.release.load import Opened
from earthsnap_train.serving.answer import Words
from earthsnap_train.serving.batching import Later, Workers
from earthsnap_train.serving.body import Room
from earthsnap_train.serving.journal import Journal
from earthsnap_train.serving.metrics import Metrics
from earthsnap_train.serving.minutes import begin
from earthsnap_train.serving.refusal import Refusal
from earthsnap_train.spec.serving import Serving

# Photographs that take longer to decode are answered by the patient thread; nearly all that phones send take less.
_IMPATIENT_MS = 50.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose answers these are."""

    release: str
    digest: str
    family: str


class Service:
    """Photographs in, answers out, with everything that is counted and kept about them.

    ``journal``: None keeps nothing. ``draining``: set once the server is told to end; new work is then refused.
    """

    def __init__(self, opened: Opened, identity: Identity, settings: Serving, journal: Path | None) -> None:
        self.identity = identity
        self.settings = settings
        self.family = opened.engine.family
        self.taxonomy = opened.taxonomy
        self.draining = threading.Event()
        self._minutes = begin(identity.release)
        self.metrics = Metrics(identity.release, self._minutes)
        self.room = Room(settings.max_waiting_mb)
        self._engine = opened.engine
        self._words = Words(self.family, opened.taxonomy, settings.top)
        self._journal = None if journal is None else Journal(journal / identity.family)
        self._workers = Workers(
            self._answer_batch,
            num_threads=settings.workers or usable_cores(),
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            timeout_s=settings.timeout_s,
            observer=self.metrics.observer,
        )
        models = opened.engine.models
        self.precision = opened.engine.precision
        self.metrics.look(
            num_waiting=lambda: self._workers.num_waiting,
            num_loads=lambda: models.num_loads,
            num_evictions=lambda: models.num_evictions,
            num_models=lambda: models.num_open,
            num_lost=lambda: 0 if self._journal is None else self._journal.num_lost,
        )

    def new_request_id(self) -> str:
        return f"{self.identity.release}.{uuid.uuid4().hex}"

    async def identify(self, photographs: Sequence[bytes], request_id: str, *, kept: bool = True) -> dict[str, Any]:
        """The answer, journalled where it is to be ``kept``. Raises Refusal."""
        said = await self._workers.answer(photographs)
        answer = {"request_id": request_id, "release": self.identity.release, **said}
        self.metrics.named(said["reason"])
        if self._journal is not None and kept:
            said = {key: answer[key] for key in ("request_id", "release", "answer", "reason", "group", "species")}
            self._journal.add("answers", said | {"num_photographs": len(photographs)})
        return answer

    def feedback(self, request_id: str, species_id: str, comment: str | None) -> None:
        """Keeps a person's correction. Raises Refusal for a species that the release does not know."""
        if species_id not in self.family.group_of:
            near = did_you_mean(species_id, self.family.species)
            raise Refusal(422, "unknown_species", f"no species is called {species_id!r}. {near}".strip())
        self.metrics.feedback.inc()
        if self._journal is not None:
            entry = {"request_id": request_id, "species_id": species_id, "comment": comment}
            self._journal.add("feedback", {"release": self.identity.release, **entry})

    def close(self) -> None:
        self._workers.end()
        if self._minutes is not None:
            self._minutes.close()
        if self._journal is not None:
            self._journal.close()

    # ---- in a worker's thread

    def _answer_batch(self, requests: Sequence[Sequence[bytes]], patient: bool) -> list[object]:
        """For each request what is said of its photographs, the Refusal of the first that cannot be used, or Later."""
        results: list[object] = [None] * len(requests)
        images: list[NDArray[np.uint8]] = []
        places: list[tuple[int, slice]] = []
        for number, photographs in enumerate(requests):
            try:
                prepared = self._prepare(photographs, patient)
            except ImageRefused as refused:
                results[number] = Refusal.of_image(refused)
                continue
            if prepared is None:
                results[number] = Later()
                continue
            places.append((number, slice(len(images), len(images) + len(prepared))))
            images += prepared
        if images:
            answer = self._engine.answer(np.stack(images))
            for count in answer.children_run_B.tolist():
                self.metrics.children_run(count)
            for number, part in places:
                results[number] = self._words.say(answer.species_BS[part], answer.groups_BG[part])
        return results

    def _prepare(self, photographs: Sequence[bytes], patient: bool) -> list[NDArray[np.uint8]] | None:
        """None where that is for the patient thread. Raises ImageRefused."""
        preprocessing = self.family.preprocessing
        opened = [
            open_header(data, max_megapixels=self.settings.max_megapixels, formats=SERVED) for data in photographs
        ]
        costs = [decoding_cost(image, decoded_px(preprocessing)) for image in opened]
        for image, cost in zip(opened, costs, strict=True):
            if cost.mb > self.settings.max_decoding_mb:
                raise ImageRefused(
                    "too_many_pixels",
                    f"{image.width} x {image.height} pixels of {image.format} take about {cost.mb:.0f} MB to decode, "
                    f"more than {self.settings.max_decoding_mb:g}; as JPEG they would be taken",
                )
        if not patient and sum(cost.ms for cost in costs) > _IMPATIENT_MS:
            return None
        return [prepare_opened(image, data, preprocessing) for image, data in zip(opened, photographs, strict=True)]


def memory_mb() -> float:
    """What this process holds in memory just now."""
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)
    import psutil

    return round(float(psutil.Process().memory_info().rss) / (1 << 20), 1)
