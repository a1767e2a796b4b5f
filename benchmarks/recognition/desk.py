"""Every method that is compared, by name, on one fold."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from extras import (
    Labels,
    distances_of,
    for_rare_species,
    least_expected_distance,
    with_discriminant,
    with_neighbours,
    with_ranks,
)
from folds import Fold
from methods import BARE, FLAT, MIRROR, OURS, PLAIN, Recipe, Said, Teacher
from outcomes import Outcomes, outcomes_of
from photographs import Photographs

from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import Floats, softmax
from earthsnap_train.models.heads import rooted
from earthsnap_train.training.cascade import labels_of

RECIPES: dict[str, Recipe] = {
    "flat, plain": replace(FLAT, taught=PLAIN, calibrated=False),
    "flat, as ours": replace(OURS, parent=None),
    "obvious family": replace(BARE, parent="groups", taught=PLAIN, calibrated=False).routed(kind="hard"),
    "ours": OURS,
    "ours, two looks": replace(OURS, looks=MIRROR),
    "ours, no whitening": OURS.headed(whitening=0.0),
    "ours, no roots": OURS.headed(roots=False),
    "ours, no logit adjustment": OURS.headed(imbalance="none"),
    "ours, no mirror images": replace(OURS, taught=PLAIN),
    "ours, children alone": OURS.routed(parent_weight=0.0),
    "ours, hard": OURS.routed(kind="hard"),
    "ours, no temperature": replace(OURS, calibrated=False),
    "ours, parent groups": replace(OURS, parent="groups"),
    "ours, parent clusters": replace(OURS, parent="clusters"),
    "ours, whitening 0.1": OURS.headed(whitening=0.1),
    "ours, whitening 0.5": OURS.headed(whitening=0.5),
    "ours, decay 0.0003": OURS.headed(weight_decay=3e-4),
    "ours, decay 0.003": OURS.headed(weight_decay=3e-3),
    "ours, smoothing 0.1": replace(OURS, label_smoothing=0.1),
}
OF_FOUR_VIEWS = {"ours, four views taught": replace(OURS, taught=(0, 1, 2, 3))}


class Desk:
    """All methods by name, on one fold."""

    def __init__(self, photographs: Photographs, fold: Fold, *, device: str) -> None:
        self.photographs = photographs
        self.fold = fold
        self.teacher = Teacher(fold, device=device)
        species = fold.species
        places = {name: name for name in species}
        self.taught_labels = labels_of(fold.taught.species_N, places, species)
        self.val_truth = labels_of(fold.val.species_N, places, species)
        self.test_truth = labels_of(fold.test.species_N, places, species)
        self.counts_S = np.bincount(self.taught_labels, minlength=len(species))
        self.distance_SS = distances_of(photographs.taxonomy, species)
        self._ours: dict[str, Said] = {}

    def methods(self) -> dict[str, Callable[[], Said]]:
        recipes = RECIPES | (OF_FOUR_VIEWS if self.photographs.features_NVF.shape[1] > 2 else {})
        found: dict[str, Callable[[], Said]] = {name: lambda r=recipe: self.said(r) for name, recipe in recipes.items()}
        if self.photographs.network:
            found["network's own head"] = self.own_head
        found["hiclass"] = self.hiclass
        found["ours and neighbours"] = lambda: self.neighbours(OURS)
        found["ours and discriminant"] = lambda: self.discriminant(OURS)
        found["ours and heads of ranks"] = lambda: self.ranks(OURS)
        found["ours, tau by val"] = lambda: for_rare_species(self.said(OURS), self.counts_S, self.val_truth)
        found["ours, least expected distance"] = lambda: least_expected_distance(self.said(OURS), self.distance_SS)
        return found

    def said(self, recipe: Recipe) -> Said:
        key = repr(recipe)
        if key not in self._ours:
            self._ours[key] = self.teacher.said(recipe)
        return self._ours[key]

    def own_head(self) -> Said:
        """Of the network that was taught whole, calibrated on val: what a flat network is, with nothing solved behind it."""
        assert self.photographs.network is not None
        order_S = [self.photographs.species.index(name) for name in self.fold.species]
        logits_NS = self.photographs.network.logits_NS[:, order_S]
        val_BS, test_BS = logits_NS[self.fold.val_N], logits_NS[self.fold.test_N]
        temperature = fit_temperature(val_BS, self.val_truth)
        return Said(val_BS=softmax(val_BS, temperature), test_BS=softmax(test_BS, temperature))

    def hiclass(self) -> Said:
        from rival import local_classifiers

        asked = replace(BARE, taught=PLAIN)
        taught, val, test = (self.teacher.seen(part, asked) for part in ("taught", "val", "test"))
        return local_classifiers(self.fold, taught, val, test)

    def neighbours(self, recipe: Recipe) -> Said:
        return with_neighbours(self.said(recipe), *self.features(recipe), self.val_truth)

    def discriminant(self, recipe: Recipe) -> Said:
        return with_discriminant(self.said(recipe), *self.features(recipe), self.val_truth)

    def features(self, recipe: Recipe) -> tuple[Floats, Labels, Floats, Floats]:
        """As heads see them: of every view that was taught with its label, of val and of test."""
        taught, val, test = (self.teacher.seen(part, recipe) for part in ("taught", "val", "test"))
        num_views, num_features = taught.features_NVF.shape[1:]
        labels_N = self.taught_labels.repeat(num_views)
        seen = (taught.features_NVF.reshape(-1, num_features), val.as_served, test.as_served)
        taught_NF, val_BF, test_BF = map(rooted, seen) if recipe.heads.roots else seen
        return taught_NF, labels_N, val_BF, test_BF

    def ranks(self, recipe: Recipe) -> Said:
        """Heads taught each rank beside those of the family."""
        of_ranks = {}
        for rank in self.photographs.ranks:
            groups = self.photographs.groups(rank)
            taxon_of = {name: taxon for taxon, members in groups.items() for name in members}
            solved = self.teacher.node(f"rank/{rank}", taxon_of, "groups", recipe)
            place = {taxon: number for number, taxon in enumerate(solved.head.classes)}
            taxon_S = np.asarray([place[taxon_of[name]] for name in self.fold.species], dtype=np.intp)
            val_BC, test_BC = (
                solved.probabilities(self.teacher.seen(part, recipe).as_served) for part in ("val", "test")
            )
            of_ranks[rank] = (Said(val_BS=val_BC, test_BS=test_BC), taxon_S)
        return with_ranks(self.said(recipe), of_ranks, self.val_truth)

    def outcomes(self, said: Said) -> Outcomes:
        return outcomes_of(
            said, self.val_truth, self.test_truth, taxonomy=self.photographs.taxonomy, species=self.fold.species,
            distance_SS=self.distance_SS,
        )  # fmt: skip
