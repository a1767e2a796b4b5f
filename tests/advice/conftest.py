"""Made-up photographs of nine species, as a trunk might see them: three kinds of look, and two species that look the same."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from earthsnap_train.advice.cross_fit import cross_fit
from earthsnap_train.advice.figures import Advice, GroupingFigures, PairFigures, SpeciesFigures, Suspect
from earthsnap_train.advice.material import Material
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.spec.architecture import Heads, Routing
from earthsnap_train.taxonomy.tree import Species, Taxonomy
from earthsnap_train.training.cascade import Solved
from earthsnap_train.training.logistic import Lesson

NUM_EACH = 24
LOOKS = (("ash", "birch", "cedar"), ("daisy", "elder", "fern"), ("gorse", "hazel", "iris"))
SPECIES = tuple(name for look in LOOKS for name in look)
TWINS = ("hazel", "iris")  # nothing tells them apart
ROUTING = Routing(kind="soft", top_k=3, mass=0.98, parent_weight=0.0)

Draw = Callable[..., Material]
HeadsOf = Callable[[tuple[str, ...]], Sequence[Solved]]


def look_of(species: str) -> int:
    return next(number for number, members in enumerate(LOOKS) if species in members)


@pytest.fixture(scope="session")
def lesson() -> Lesson:
    heads = Heads(roots=False, whitening=0.0, imbalance="none", weight_decay=0.001, max_iterations=100)
    return Lesson(heads=heads, label_smoothing=0.0)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """``labels``: of some photographs, by their number, instead of the true species. Two photographs show one plant."""

    def make(labels: dict[int, str] | None = None, *, num_each: int = NUM_EACH, num_folds: int = 4) -> Material:
        generator = np.random.default_rng(3)
        look_LF = 6 * generator.normal(size=(3, 12))
        own = {name: 2.5 * generator.normal(size=12) for name in SPECIES}
        own[TWINS[1]] = own[TWINS[0]]
        species = [name for name in SPECIES for _ in range(num_each)]
        features_NF = np.stack([look_LF[look_of(name)] + own[name] + generator.normal(size=12) for name in species])
        return Material.of(
            [f"image-{number}" for number in range(len(species))],
            [(labels or {}).get(number, name) for number, name in enumerate(species)],
            [f"plant-{number // 2}" for number in range(len(species))],
            features_NF.astype(np.float32),
            num_folds=num_folds,
            seed=0,
        )

    return make


@pytest.fixture(scope="session")
def material(draw: Draw) -> Material:
    return draw()


@pytest.fixture(scope="session")
def heads(material: Material, lesson: Lesson) -> HeadsOf:
    """Of any species, one for each fold; solved once for all tests."""
    return cache(lambda species: cross_fit(material, {one: one for one in species}, lesson))


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """Families go across looks: whoever groups by family groups what does not look alike."""
    return Taxonomy(
        ranks=("family",),
        species=tuple(
            Species(species_id=name, scientific_name=name.title(), common_name=None, ranks=(("family", f"F{at % 3}"),))
            for at, name in enumerate(SPECIES)
        ),
    )


@pytest.fixture
def advice() -> Advice:
    """Two groupings, two suspects of which one's photograph is gone, a species that is too few, a pair of twins."""

    def name(species: str) -> Name:
        return Name(species_id=species, scientific=species.title(), common=None)

    def about(value: float) -> Estimate:
        return Estimate(value=value, low=value - 0.1, high=value + 0.1)

    def grouping(called: str, top1: float, groups: dict[str, tuple[str, ...]], **more: Any) -> GroupingFigures:
        return GroupingFigures(
            name=called, made_by=f"made by {called}", groups=groups, top1=about(top1), minus_flat=about(0.0),
            routing=about(0.9), ceiling=about(0.95), multiply_adds=1234, child_share=0.3, **more,
        )  # fmt: skip

    by_family = {f"f{at}": SPECIES[at::3] for at in range(3)}
    return Advice(
        family="made-up",
        num_images=216,
        num_species=9,
        num_folds=4,
        flat=about(0.85),
        flat_multiply_adds=1000,
        groupings=(
            grouping("by-look-3", 0.84, dict(zip("abc", LOOKS, strict=True)), rank=None, is_declared=False, stability=0.7),
            grouping("by-family", 0.83, by_family, rank="family", is_declared=False, is_best=True, stability=1.0),
        ),
        notes=("order: 2 species have no order",),
        suspects=tuple(
            Suspect(
                image_id=uri, uri=uri, labelled=name("ash"), suggested=name("birch"), confidence=0.9, margin=-0.8
            )
            for uri in ("seen.jpg", "gone.jpg")
        ),
        species=tuple(
            SpeciesFigures(
                name=name(one), num_images=24, num_clusters=12, recall=about(0.8),
                num_wanted=40 if one == "ash" else None, clearest=f"{one}-clearest.jpg",
            )
            for one in SPECIES
        ),
        pairs=(
            PairFigures(
                first=name("hazel"), second=name("iris"), confusion=0.4, told_apart=about(0.5), is_inseparable=True
            ),
        ),
    )  # fmt: skip


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A photograph."""
    path = tmp_path / "shot.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(40, 40, 3), dtype=np.uint8)).save(path)
    return path
