"""Whether a release is answered here as it was evaluated, where engine or processor may make a difference."""

import itertools
import json
from pathlib import Path
from typing import Final

import numpy as np

from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.release.golden import may_be_first
from earthsnap_train.release.load import Opened
from earthsnap_train.serving.runtimes import TOLERANCE

NUM_TRIED: Final = 32  # about a tenth of a second
MIN_EQUAL: Final = 0.97  # of what is named first, where nothing else was nearly as good
MAX_MEAN_DIFFERENCE: Final = 0.02  # of the probability of what is named first
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
        first, probability = golden["top"][0]
        equal.append(opened.naming.top(species_S, 1)[0][0] in may_be_first(golden, tolerance))
        differences.append(abs(float(species_S[engine.family.species.index(first)]) - probability))
    return bool(equal) and float(np.mean(equal)) >= MIN_EQUAL and float(np.mean(differences)) <= MAX_MEAN_DIFFERENCE
