"""The linear heads that are compared: one over all species, and families of them, by the product's own functions.

A recipe says what differs; ``OURS`` is what ``architecture=shared_trunk`` declares, and ``BARE`` the same without what makes
heads better: roots of the features, logit adjustment, the parent's say within a group. Shapes: B photographs, S species,
F features, V views.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from folds import Fold
from numpy.typing import NDArray

from earthsnap_train.models.family import Floats
from earthsnap_train.spec.architecture import Heads, Routing, SharedTrunk
from earthsnap_train.training.cascade import Cascade, Shown, Solved, Targets, clusters_of, solve_node
from earthsnap_train.training.heads import CANDIDATES
from earthsnap_train.training.logistic import Lesson

CONF = Path(__file__).parents[2] / "conf" / "architecture" / "shared_trunk.yaml"
DECLARED = SharedTrunk.model_validate(yaml.safe_load(CONF.read_text()))
PLAIN, MIRROR = (0,), (0, 1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """``parent``: what it is taught, None for one flat head. ``taught``, ``looks``: views that are learnt from and asked."""

    parent: Literal["auto", "species", "clusters", "groups"] | None
    routing: Routing
    heads: Heads
    taught: tuple[int, ...]
    looks: tuple[int, ...]
    calibrated: bool
    label_smoothing: float

    @property
    def lesson(self) -> Lesson:
        return Lesson(heads=self.heads, label_smoothing=self.label_smoothing)

    def headed(self, **changes: object) -> "Recipe":
        return replace(self, heads=self.heads.model_copy(update=changes))

    def routed(self, **changes: object) -> "Recipe":
        return replace(self, routing=self.routing.model_copy(update=changes))


OURS = Recipe(
    parent=DECLARED.parent.targets, routing=DECLARED.routing, heads=DECLARED.heads, taught=MIRROR, looks=PLAIN,
    calibrated=True, label_smoothing=0.0,
)  # fmt: skip
BARE = OURS.headed(roots=False, whitening=0.0, imbalance="none", weight_decay=3e-4, max_iterations=100).routed(
    parent_weight=0.0
)
FLAT = replace(BARE, parent=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """Probabilities of every species, of val and of test; ``note``: what was chosen on val.

    ``named``: the species named in val and in test [B], where they are not the likeliest.
    """

    val_BS: Floats
    test_BS: Floats
    note: str = ""
    named: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None

    @property
    def asked(self) -> tuple[Floats, Floats]:
        return self.val_BS, self.test_BS


class Teacher:
    """Solves heads of one fold; what several recipes share is solved once."""

    def __init__(self, fold: Fold, *, device: str) -> None:
        self.fold = fold
        self._device = device
        self._solved: dict[object, Solved] = {}
        self._seen: dict[object, Shown] = {}

    def said(self, recipe: Recipe) -> Said:
        """What the heads of ``recipe`` say, taught on ``taught`` and calibrated on ``val``."""
        asked = [self.seen("val", recipe), self.seen("test", recipe)]
        if recipe.parent is None:
            head = self.node("flat", {one: one for one in self.fold.species}, "species", recipe)
            val_BS, test_BS = (head.probabilities(shown.as_served) for shown in asked)
            return Said(val_BS=val_BS, test_BS=test_BS)
        cascade = self.cascade(recipe)
        val_BS, test_BS = (cascade.answer(shown.as_served).species_BS for shown in asked)
        return Said(val_BS=val_BS, test_BS=test_BS, note=cascade.parent.targets)

    def cascade(self, recipe: Recipe) -> Cascade:
        """With the parent that makes the family likeliest on val, where the recipe leaves that open."""
        children = {
            group: self.node(f"child/{group}", {one: one for one in members}, "species", recipe)
            for group, members in self.fold.groups.items()
            if len(members) > 1
        }
        ways: tuple[Targets, ...] = CANDIDATES if recipe.parent == "auto" else (recipe.parent or "species",)
        cascades = [
            Cascade(
                parent=self.node("flat" if targets == "species" else targets, self.class_of(targets), targets, recipe),
                children=children, groups=self.fold.groups, routing=recipe.routing,
            )
            for targets in ways
        ]  # fmt: skip
        if len(cascades) == 1:
            return cascades[0]
        val = self.seen("val", recipe)
        return min(cascades, key=lambda cascade: round(cascade.surprise(val), 6))

    def class_of(self, targets: Targets) -> dict[str, str]:
        groups = self.fold.groups
        if targets == "clusters":
            return clusters_of(self.fold.taught, groups, species_per_cluster=DECLARED.parent.species_per_cluster)
        return {one: one if targets == "species" else group for group, members in groups.items() for one in members}

    def node(self, name: str, class_of: Mapping[str, str], targets: Targets, recipe: Recipe) -> Solved:
        key = (name, recipe.taught, recipe.lesson.model_dump_json())
        if key not in self._solved:
            taught = self.seen("taught", recipe)
            device = "cpu" if name.startswith("child/") else self._device  # too small to be worth a GPU's calls
            self._solved[key] = solve_node(taught, class_of, recipe.lesson, targets=targets, device=device)
        solved = self._solved[key]
        return solved.calibrated(self.seen("val", recipe)) if recipe.calibrated else solved

    def seen(self, part: Literal["taught", "val", "test"], recipe: Recipe) -> Shown:
        """A part's photographs as ``recipe`` has them looked at."""
        views = recipe.taught if part == "taught" else recipe.looks
        key = (part, views)
        if key not in self._seen:
            shown: Shown = getattr(self.fold, part)
            features_NVF = shown.features_NVF[:, list(views)]
            self._seen[key] = Shown(features_NVF=features_NVF, species_N=shown.species_N)
        return self._seen[key]
