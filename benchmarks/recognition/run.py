"""Families, flat heads and hiclass on the same embedded photographs: all figures with intervals, one more set in a JSON file.

    python benchmarks/recognition/run.py plants-dev.npz --title plants-dev --rank group --out results.json
    python benchmarks/recognition/run.py plants-dev.npz --title few --rank group --per-species 10 --seeds 2 --out results.json
    python benchmarks/recognition/run.py taught/ --title taught --rank group --per-species 10 --seeds 2 --out networks.json

`--only REGEX` runs some methods; `--device cuda` solves heads on a GPU. A folder has one file for each fold and seed, as
`networks.py` writes them. `table.py` writes the README's tables.
"""

import argparse
import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from desk import Desk
from figures import Numbers, Resampled, estimate, rarest_quarter
from folds import Few, file_of, fold_of
from numpy.typing import NDArray
from outcomes import Outcomes
from photographs import Photographs, Rows, largest

from earthsnap_train.evaluation.figures import Estimate

RIVALS = ("flat, as ours", "flat, plain", "hiclass", "network's own head")
COMPARED = ("top1", "macro_recall", "tail_recall", "severity", "mistake_severity", "sure", "rolled")


Flags = NDArray[np.bool_]
Done = tuple[int, int, Rows, Flags, dict[str, tuple[Outcomes, str, float]]]


def one_fold(options: argparse.Namespace, seed: int, fold: int) -> Done:
    """(seed, fold, rows tested, whether each is of a rare species, method -> outcomes, what val chose, seconds)."""
    import torch

    torch.set_num_threads(options.threads)
    photographs = read(options, seed, fold)
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


def read(options: argparse.Namespace, seed: int = 0, fold: int = 0) -> Photographs:
    """As the network of this fold sees them, where there is one for each; species and clusters are the same in all."""
    path = options.embeddings
    photographs = Photographs.read(file_of(path, seed, fold) if path.is_dir() else path)
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


def short(one: Estimate) -> dict[str, float]:
    return {end: round(value, 5) for end, value in one.model_dump().items()}


def rows_of(judgements: Mapping[str, Judged], done: list[Done]) -> dict[str, Any]:
    """Method -> its figures, their differences to each rival, what val chose in how many folds, and seconds a fold."""
    rows = {}
    for name, (figures, plain, debiased) in judgements.items():
        notes = [methods[name][1] for *_, methods in done]
        rows[name] = {
            "figures": {key: short(estimate(values)) for key, values in figures.items()},
            "ece": round(plain, 5),
            "debiased_ece": short(debiased),
            "minus": {
                rival: {key: short(estimate(figures[key] - judgements[rival][0][key])) for key in COMPARED}
                for rival in RIVALS
                if rival in judgements
            },
            "roll_up_minus_refusal": short(estimate(figures["rolled"] - figures["sure"])),
            "chosen": {note: notes.count(note) for note in sorted(set(notes)) if note},
            "seconds": round(float(np.mean([methods[name][2] for *_, methods in done])), 2),
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
    options.out.write_text(json.dumps(results, separators=(",", ":")))
    for name, row in rows.items():
        print(
            f"{name:40s} {row['figures']['top1']['value']:.4f} {row['debiased_ece']['value']:.4f} {row['seconds']:.1f} s"
        )
    print(f"{results[options.title]['seconds']} s")


if __name__ == "__main__":
    main()
