"""How hard the demo's flora is: neither colour nor layout names the species, yet a network's features do.

Split by plant; the baselines are those that would make a good result mean nothing.
"""

import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earthsnap_train.data.flora.photograph import photograph
from earthsnap_train.data.flora.species import FloraPhotograph, catalogue, species_of
from earthsnap_train.spec.dataset import SyntheticFlora

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Photographs:
    pixels: np.ndarray  # [N, H, W, 3] uint8
    species: np.ndarray
    test: np.ndarray  # bool

    def accuracy(self, classifier: object, features: np.ndarray) -> float:
        """Taught on the other plants, asked about those of the test."""
        classifier.fit(features[~self.test], self.species[~self.test])
        return float(classifier.score(features[self.test], self.species[self.test]))


def draw(flora: SyntheticFlora, row: FloraPhotograph) -> bytes:
    one = species_of(flora)[row.species_index]
    return photograph(one, seed=flora.seed, plant=row.plant, photo=row.photo, image_px=flora.image_px)


@pytest.fixture(scope="module")
def photographs(flora: Callable[..., SyntheticFlora]) -> Photographs:
    """The demo's species and plants, one photograph of each plant."""
    demo = flora(num_species=24, num_groups=5, plants_per_species=40, photos_per_plant=1, image_px=128)
    rows = catalogue(demo)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        drawn = list(pool.map(draw, [demo] * len(rows), rows, chunksize=24))
    return Photographs(
        pixels=np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in drawn]),
        species=np.array([row.species_index for row in rows]),
        test=np.array([row.plant % 4 == 0 for row in rows]),
    )


@pytest.mark.parametrize("inverse_regularisation", [1.0, 100.0])
def test_colours_alone_name_at_most_half_of_the_species(photographs, inverse_regularisation):
    bins = (photographs.pixels // 32).astype(int) @ [64, 8, 1]
    histograms = np.stack([np.bincount(one.ravel(), minlength=512) for one in bins]) / bins[0].size
    classifier = LogisticRegression(C=inverse_regularisation, max_iter=1000)
    assert photographs.accuracy(classifier, np.sqrt(histograms)) <= 0.50


def test_layout_alone_names_at_most_three_in_five(photographs):
    small = [np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling.BOX)) for one in photographs.pixels]
    layouts = np.stack(small).reshape(len(small), -1).astype(np.float32)
    assert photographs.accuracy(KNeighborsClassifier(1), layouts) <= 0.60


def test_a_networks_features_name_most(photographs, shared_data: Path):
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    weights = shared_data / "weights" / "tf_efficientnet_lite0.in1k_fp32.safetensors"
    network = timm.create_model(
        "tf_efficientnet_lite0", pretrained=True, pretrained_cfg_overlay={"file": str(weights)}, num_classes=0
    ).eval()
    features = []
    with torch.inference_mode():
        for start in range(0, len(photographs.pixels), 64):
            batch = torch.from_numpy(photographs.pixels[start : start + 64]).permute(0, 3, 1, 2)
            features.append(network(batch / 127.5 - 1).numpy())
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=300))
    assert photographs.accuracy(classifier, np.concatenate(features)) >= 0.85
