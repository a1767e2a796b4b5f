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
    with_parents_view,
    with_ranks,
)
from folds import Fold
from methods import BARE, FLAT, MIRROR, OURS, PLAIN, Recipe, Said, Teacher
from outcomes import Outcomes, outcomes_of
from photographs import Photographs

from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.family import Floats, softmax
from earthsnap_train.training.cascade import labels_of

ROOTS = replace(BARE, features="root")
RECIPES: dict[str, Recipe] = {
    "flat, plain": replace(FLAT, taught=PLAIN, calibrated=False),
    "flat, calibrated": replace(FLAT, taught=PLAIN),
    "flat, plain, logit adjustment": replace(FLAT, taught=PLAIN, calibrated=False).headed(imbalance="logit_adjustment"),
    "flat": FLAT,
    "flat, as ours": replace(OURS, parent=None),
    "flat, two looks": replace(FLAT, looks=MIRROR),
    "flat, root features": replace(FLAT, features="root"),
    "flat, two looks, root features": replace(FLAT, looks=MIRROR, features="root"),
    "flat, decay 0.001": FLAT.headed(weight_decay=1e-3),
    "obvious family": replace(BARE, parent="groups", taught=PLAIN, calibrated=False).routed(kind="hard"),
    "obvious family, mirrored": replace(BARE, parent="groups", calibrated=False).routed(kind="hard"),
    "ours": OURS,
    "ours, two looks": replace(OURS, looks=MIRROR),
    "ours, no logit adjustment": OURS.headed(imbalance="none"),
    "ours, no roots": OURS.headed(roots=False),
    "ours, children alone": OURS.routed(parent_weight=0.0),
    "ours, hard": OURS.routed(kind="hard"),
    "ours, no temperature": replace(OURS, calibrated=False),
    "bare": BARE,
    "bare, parent groups": replace(BARE, parent="groups"),
    "bare, parent clusters": replace(BARE, parent="clusters"),
    "bare, parent species": replace(BARE, parent="species"),
    "bare, hard": BARE.routed(kind="hard"),
    "bare, top_k 1": BARE.routed(top_k=1),
    "bare, top_k 5": BARE.routed(top_k=5),
    "bare, no temperature": replace(BARE, calibrated=False),
    "bare, no mirror images": replace(BARE, taught=PLAIN),
    "bare, two looks": replace(BARE, looks=MIRROR),
    "bare, two looks, root features": replace(ROOTS, looks=MIRROR),
    "bare, logit adjustment": BARE.headed(imbalance="logit_adjustment"),
    "bare, smoothing 0.1": replace(BARE, label_smoothing=0.1),
    "bare, decay 0.0001": BARE.headed(weight_decay=1e-4),
    "bare, decay 0.001": BARE.headed(weight_decay=1e-3),
    "bare, decay 0.003": BARE.headed(weight_decay=3e-3),
    "bare, features of length 1": replace(BARE, features="length_1"),
    "bare, root features": ROOTS,
}
FOUR_VIEWS = (0, 1, 2, 3)
OF_FOUR_VIEWS: dict[str, Recipe] = {
    "bare, four views taught": replace(BARE, taught=FOUR_VIEWS),
    "bare, four views taught, root features": replace(BARE, taught=FOUR_VIEWS, features="root"),
    "bare, four views taught, two looks": replace(BARE, taught=FOUR_VIEWS, looks=MIRROR),
}


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
        found["hiclass"] = lambda: self.hiclass(PLAIN)
        found["hiclass, mirrored"] = lambda: self.hiclass(MIRROR)
        found["flat and neighbours"] = lambda: self.neighbours(FLAT)
        found["bare and neighbours"] = lambda: self.neighbours(BARE)
        found["bare, root features, and neighbours"] = lambda: self.neighbours(ROOTS)
        found["bare and discriminant"] = lambda: self.discriminant(BARE)
        found["bare, root features, and discriminant"] = lambda: self.discriminant(ROOTS)
        found["flat, root features, and discriminant"] = lambda: self.discriminant(replace(FLAT, features="root"))
        found["bare, two looks, root features, and discriminant"] = lambda: self.discriminant(
            replace(ROOTS, looks=MIRROR)
        )
        found["bare, child and parent"] = lambda: self.parents_view(BARE)
        found["bare, child and parent, root features"] = lambda: self.parents_view(ROOTS)
        found["bare and heads of ranks"] = lambda: self.ranks(BARE)
        found["bare, tau by val"] = lambda: for_rare_species(self.said(BARE), self.counts_S, self.val_truth)
        found["bare, least expected distance"] = lambda: least_expected_distance(self.said(BARE), self.distance_SS)
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

    def hiclass(self, views: tuple[int, ...]) -> Said:
        from rival import local_classifiers

        asked = replace(BARE, taught=views)
        taught, val, test = (self.teacher.seen(part, asked) for part in ("taught", "val", "test"))
        return local_classifiers(self.fold, taught, val, test)

    def neighbours(self, recipe: Recipe) -> Said:
        return with_neighbours(self.said(recipe), *self.features(recipe), self.val_truth)

    def discriminant(self, recipe: Recipe) -> Said:
        return with_discriminant(self.said(recipe), *self.features(recipe), self.val_truth)

    def features(self, recipe: Recipe) -> tuple[Floats, Labels, Floats, Floats]:
        """Of every view that was taught with its label, of val and of test."""
        taught, val, test = (self.teacher.seen(part, recipe) for part in ("taught", "val", "test"))
        num_views, num_features = taught.features_NVF.shape[1:]
        labels_N = self.taught_labels.repeat(num_views)
        return taught.features_NVF.reshape(-1, num_features), labels_N, val.as_served, test.as_served

    def parents_view(self, recipe: Recipe) -> Said:
        owners = [place for place, members in enumerate(self.fold.groups.values()) for _ in members]
        flat = self.said(replace(recipe, parent=None))
        return with_parents_view(self.said(recipe), flat, np.asarray(owners, dtype=np.intp), self.val_truth)

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
