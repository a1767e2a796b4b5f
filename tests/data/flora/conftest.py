from collections.abc import Callable

import pytest

from earthsnap_train.spec.dataset import SyntheticFlora


@pytest.fixture(scope="session")
def flora() -> Callable[..., SyntheticFlora]:
    """A small flora; name only what matters to the test. ``faults`` is a mapping of those that are not 0."""

    def make(**settings: object) -> SyntheticFlora:
        none = {"duplicates": 0.0, "wrong_labels": 0.0, "corrupt": 0.0}
        declared = {
            "kind": "synthetic_flora",
            "num_species": 6,
            "num_groups": 3,
            "plants_per_species": 2,
            "photos_per_plant": 2,
            "image_px": 48,
            "seed": 7,
            **settings,
            "faults": none | dict(settings.get("faults", {})),  # type: ignore[call-overload]
        }
        return SyntheticFlora.model_validate(declared)

    return make
