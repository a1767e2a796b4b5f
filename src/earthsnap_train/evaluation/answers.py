"""What a family says of original photographs: by what its trunk has seen of them already, else by looking at them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from earthsnap_train.data.photographs import Photographs
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.serving.engine import Answer, Engine, route

BATCH_SEEN = 1024


def answered(
    engine: Engine, photographs: Photographs, image_ids: Sequence[str], inputs: Mapping[str, Path]
) -> Iterator[Answer]:
    """In the order of ``image_ids``, a batch at a time. Input ``originals``, where there is one: of stage
    ``embed_originals``; else ``manifest`` and ``photographs`` say where photographs lie."""
    if "originals" in inputs:
        seen = Embeddings({"": inputs["originals"]})
        for start in range(0, len(image_ids), BATCH_SEEN):
            yield route(engine.family, engine.models, seen.of(image_ids[start : start + BATCH_SEEN]))
        return
    for images in photographs.batches(image_ids, manifest=inputs["manifest"], photographs=inputs["photographs"]):
        yield engine.answer(images)
