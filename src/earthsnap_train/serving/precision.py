"""Whether a release is answered here as it was evaluated, where engine or processor may make a difference."""

import itertools
import json
from pathlib import Path
from typing import Final

import numpy as np

from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.release.load import Opened
from earthsnap_train.serving.runtimes import TOLERANCE

NUM_TRIED: Final = 32  # about a tenth of a second
MIN_EQUAL: Final = 0.97  # of the likeliest species, where none was nearly as likely
MAX_MEAN_DIFFERENCE: Final = 0.02  # of the likeliest species' probability
_NO_LIMIT: Final = 178  # megapixels: these photographs went through ingest


def holds(opened: Opened, release: Path) -> bool:
    """Whether the golden photographs of this release get the golden answers, on this processor and in this precision."""
    engine = opened.engine
    tolerance = TOLERANCE[engine.precision]
    folder = release / "golden"
    equal: list[bool] = []
    differences: list[float] = []
    for golden in itertools.islice(json.loads((folder / "answers.json").read_bytes()), NUM_TRIED):
        data = (folder / golden["file"]).read_bytes()
        image = prepare_file(data, engine.family.preprocessing, max_megapixels=_NO_LIMIT)
        species_S = engine.answer(image[None]).species_BS[0]
        (first, likeliest), *others = golden["top"]
        likely_too = {species for species, probability in others if probability >= likeliest - tolerance}
        equal.append(engine.top(species_S, 1)[0][0] in {first, *likely_too})
        differences.append(abs(float(species_S[engine.family.species.index(first)]) - likeliest))
    return bool(equal) and float(np.mean(equal)) >= MIN_EQUAL and float(np.mean(differences)) <= MAX_MEAN_DIFFERENCE
