"""Families, flat heads and hiclass on the same embedded photographs: every figure with its interval, as one more set in a JSON file.

    python benchmarks/recognition/run.py plants-dev.npz --title "plants-dev" --rank group --out benchmarks/recognition/results.json
    python benchmarks/recognition/run.py plants-dev.npz --title "10 photographs" --rank group --per-species 10 --seeds 2 --out ...

`--only REGEX` runs some methods; `--device cuda` solves heads on a GPU. `table.py` writes the README's tables.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from extras import (
    distances_of,
    for_rare_species,
    least_expected_distance,
    with_discriminant,
    with_neighbours,
    with_parents_view,
    with_ranks,
)
from figures import Numbers, Resampled, estimate, rarest_quarter
from folds import Few, Fold, fold_of
from methods import FLAT, HARD, MIRROR, OURS, PLAIN, Recipe, Said, Teacher
from numpy.typing import NDArray
from outcomes import Outcomes, outcomes_of
from photographs import Photographs, Rows, largest

from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.training.cascade import labels_of

RIVALS = ("flat, plain", "flat", "hiclass")
COMPARED = ("top1", "macro_recall", "tail_recall", "severity", "mistake_severity", "sure", "rolled")


def soft(top_k: int) -> Recipe:
    return replace(OURS, routing=OURS.routing.model_copy(update={"top_k": top_k}))


def decayed(recipe: Recipe, weight_decay: float) -> Recipe:
    return replace(recipe, heads=recipe.heads.model_copy(update={"weight_decay": weight_decay}))


RECIPES: dict[str, Recipe] = {
    "flat, plain": replace(FLAT, taught=PLAIN, calibrated=False),
    "flat, calibrated": replace(FLAT, taught=PLAIN),
    "flat, plain, logit adjustment": replace(FLAT, taught=PLAIN, calibrated=False, adjusted=True),
    "flat": FLAT,
    "flat, two looks": replace(FLAT, looks=MIRROR),
    "flat, root features": replace(FLAT, features="root"),
    "flat, decay 0.001": decayed(FLAT, 1e-3),
    "obvious family": replace(OURS, parent="groups", routing=HARD, taught=PLAIN, calibrated=False),
    "obvious family, mirrored": replace(OURS, parent="groups", routing=HARD, calibrated=False),
    "ours": OURS,
    "ours, parent groups": replace(OURS, parent="groups"),
    "ours, parent clusters": replace(OURS, parent="clusters"),
    "ours, parent species": replace(OURS, parent="species"),
    "ours, hard": replace(OURS, routing=HARD),
    "ours, top_k 1": soft(1),
    "ours, top_k 5": soft(5),
    "ours, no temperature": replace(OURS, calibrated=False),
    "ours, no mirror images": replace(OURS, taught=PLAIN),
    "ours, two looks": replace(OURS, looks=MIRROR),
    "ours, logit adjustment": replace(OURS, adjusted=True),
    "ours, smoothing 0.1": replace(OURS, label_smoothing=0.1),
    "ours, decay 0.0001": decayed(OURS, 1e-4),
    "ours, decay 0.001": decayed(OURS, 1e-3),
    "ours, decay 0.003": decayed(OURS, 3e-3),
    "ours, features of length 1": replace(OURS, features="length_1"),
    "ours, root features": replace(OURS, features="root"),
}
FOUR_VIEWS = (0, 1, 2, 3)
OF_FOUR_VIEWS: dict[str, Recipe] = {
    "ours, four views taught": replace(OURS, taught=FOUR_VIEWS),
    "ours, four views taught, root features": replace(OURS, taught=FOUR_VIEWS, features="root"),
    "ours, four views taught, two looks": replace(OURS, taught=FOUR_VIEWS, looks=MIRROR),
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
        found["hiclass"] = lambda: self.hiclass(PLAIN)
        found["hiclass, mirrored"] = lambda: self.hiclass(MIRROR)
        found["flat and neighbours"] = lambda: self.neighbours(FLAT)
        found["ours and neighbours"] = lambda: self.neighbours(OURS)
        found["ours, root features, and neighbours"] = lambda: self.neighbours(replace(OURS, features="root"))
        found["ours and discriminant"] = lambda: self.discriminant(OURS)
        found["ours, root features, and discriminant"] = lambda: self.discriminant(replace(OURS, features="root"))
        found["flat, root features, and discriminant"] = lambda: self.discriminant(replace(FLAT, features="root"))
        found["ours, two looks, root features, and discriminant"] = lambda: self.discriminant(
            replace(OURS, features="root", looks=MIRROR)
        )
        found["ours, child and parent"] = lambda: self.parents_view(OURS)
        found["ours, child and parent, root features"] = lambda: self.parents_view(replace(OURS, features="root"))
        found["ours and heads of ranks"] = lambda: self.ranks(OURS)
        found["ours, tau by val"] = lambda: for_rare_species(self.said(OURS), self.counts_S, self.val_truth)
        found["ours, least expected distance"] = lambda: least_expected_distance(self.said(OURS), self.distance_SS)
        return found

    def said(self, recipe: Recipe) -> Said:
        key = repr(recipe)
        if key not in self._ours:
            self._ours[key] = self.teacher.said(recipe)
        return self._ours[key]

    def hiclass(self, views: tuple[int, ...]) -> Said:
        from rival import local_classifiers

        asked = replace(OURS, taught=views)
        taught, val, test = (self.teacher.seen(part, asked) for part in ("taught", "val", "test"))
        return local_classifiers(self.fold, taught, val, test)

    def neighbours(self, recipe: Recipe) -> Said:
        taught, val, test = (self.teacher.seen(part, recipe) for part in ("taught", "val", "test"))
        num_views = taught.features_NVF.shape[1]
        all_NF = taught.features_NVF.reshape(-1, taught.features_NVF.shape[2])
        labels_N = self.taught_labels.repeat(num_views)
        return with_neighbours(self.said(recipe), all_NF, labels_N, val.as_served, test.as_served, self.val_truth)

    def discriminant(self, recipe: Recipe) -> Said:
        taught, val, test = (self.teacher.seen(part, recipe) for part in ("taught", "val", "test"))
        num_views = taught.features_NVF.shape[1]
        all_NF = taught.features_NVF.reshape(-1, taught.features_NVF.shape[2])
        labels_N = self.taught_labels.repeat(num_views)
        return with_discriminant(self.said(recipe), all_NF, labels_N, val.as_served, test.as_served, self.val_truth)

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


Flags = NDArray[np.bool_]
Done = tuple[int, int, Rows, Flags, dict[str, tuple[Outcomes, str, float]]]


def one_fold(options: argparse.Namespace, seed: int, fold: int) -> Done:
    """(seed, fold, rows tested, whether each is of a rare species, method -> outcomes, what val chose, seconds)."""
    import torch

    torch.set_num_threads(options.threads)
    photographs = read(options)
    few = Few(per_species=options.per_species, tail=tuple(options.tail) if options.tail else None)
    one = fold_of(photographs, options.rank, few=few, num_folds=options.folds, seed=seed, fold=fold)
    desk = Desk(photographs, one, device=options.device)
    done = {}
    for name, method in desk.methods().items():
        if not re.search(options.only, name):
            continue
        started = time.monotonic()
        said = method()
        seconds = time.monotonic() - started
        done[name] = (desk.outcomes(said), said.note, seconds)
    rare_B = rarest_quarter(desk.counts_S)[desk.test_truth]
    return seed, fold, one.test_N, rare_B, done


def read(options: argparse.Namespace) -> Photographs:
    photographs = Photographs.read(options.embeddings)
    if options.more_views:
        photographs = photographs.with_views_of(Photographs.read(options.more_views))
    return largest(photographs, options.rank, options.largest) if options.largest else photographs


Judged = tuple[Mapping[str, Numbers], float, Estimate]


def judged(options: argparse.Namespace, parts: list[tuple[int, int, Rows, Outcomes]], rare_QN: Flags) -> Judged:
    """(figures with their resamples, calibration error, the debiased one) of a method. ``parts``: of (seed, fold, rows)."""
    photographs = read(options)
    seeds = sorted({seed for seed, *_ in parts})
    per_seed = [
        Outcomes.joined([(rows, part) for at, _, rows, part in parts if at == seed], len(photographs)) for seed in seeds
    ]
    species_N = np.unique(photographs.species_N, return_inverse=True)[1]
    clusters = np.unique(photographs.cluster_N, return_inverse=True)[1].astype(np.intp)
    drawn = Resampled(per_seed, species_N=species_N, rare_QN=rare_QN, clusters=clusters)
    return drawn.figures, *drawn.calibration_error()


def rows_of(judgements: Mapping[str, Judged], done: list[Done]) -> dict[str, Any]:
    """Method -> its figures, their differences to each rival, what val chose in how many folds, and seconds a fold."""
    rows = {}
    for name, (figures, plain, debiased) in judgements.items():
        notes = [methods[name][1] for *_, methods in done]
        rows[name] = {
            "figures": {key: estimate(values).model_dump() for key, values in figures.items()},
            "ece": plain,
            "debiased_ece": debiased.model_dump(),
            "minus": {
                rival: {key: estimate(figures[key] - judgements[rival][0][key]).model_dump() for key in COMPARED}
                for rival in RIVALS
                if rival in judgements
            },
            "roll_up_minus_refusal": estimate(figures["rolled"] - figures["sure"]).model_dump(),
            "chosen": {note: notes.count(note) for note in sorted(set(notes)) if note},
            "seconds": float(np.mean([methods[name][2] for *_, methods in done])),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("--more-views", type=Path, help="the same photographs, looked at in another way")
    parser.add_argument("--title", required=True)
    parser.add_argument("--rank", required=True, help="the rank whose taxa are the groups")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--per-species", type=int, help="photographs of each species to learn from")
    parser.add_argument("--tail", type=int, nargs=2, metavar=("MOST", "LEAST"), help="photographs to learn from")
    parser.add_argument("--largest", type=int, help="the so many largest groups alone")
    parser.add_argument("--only", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    seeds = list(range(options.seeds))
    started = time.monotonic()
    jobs = [(options, seed, fold) for seed in seeds for fold in range(options.folds)]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(one_fold, *zip(*jobs, strict=True)))
        photographs = read(options)
        rare_QN = np.zeros((len(seeds), len(photographs)), dtype=np.bool_)
        for seed, _, tested, rare_B, _ in done:
            rare_QN[seed, tested] = rare_B
        names = list(done[0][4])
        parts = {name: [(seed, fold, at, methods[name][0]) for seed, fold, at, _, methods in done] for name in names}
        judging = [pool.submit(judged, options, parts[name], rare_QN) for name in names]
        judgements = {name: one.result() for name, one in zip(names, judging, strict=True)}
    rows = rows_of(judgements, done)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[options.title] = {
        "photographs": len(photographs), "species": len(photographs.species),
        "clusters": len(set(photographs.cluster_N.tolist())), "groups": len(photographs.groups(options.rank)),
        "rank": options.rank, "seeds": options.seeds, "folds": options.folds, "methods": rows,
        "seconds": round(time.monotonic() - started), "workers": options.workers, "device": options.device,
    }  # fmt: skip
    options.out.write_text(json.dumps(results, indent=1))
    for name, row in rows.items():
        print(f"{name:40s} {row['figures']['top1']['value']:.4f} {row['debiased_ece']['value']:.4f} {row['seconds']:.1f} s")
    print(f"{results[options.title]['seconds']} s")


if __name__ == "__main__":
    main()
