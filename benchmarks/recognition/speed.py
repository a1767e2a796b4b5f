"""Seconds to teach all nodes: heads solved as `architecture=shared_trunk` does, beside the Lightning fits of `parent_child`.

    python benchmarks/recognition/speed.py plants-dev.npz --rank group

Both teach the same nodes on the same photographs, one after another in this process, on one core: the head of all species
and one for each group of two or more. Seconds are the processor's, so that other work on the machine does not count; on a
GPU they are the clock's, from features in memory to heads in memory.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch._dynamo  # torch does it at its first step, whoever takes it
import yaml
from folds import Few, Fold, fold_of
from methods import CONF, OURS, PLAIN
from photographs import Photographs

from earthsnap_train.context import Context, Resources, Silence
from earthsnap_train.data.examples import Examples
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.training import Training
from earthsnap_train.training.cascade import Shown, solve_node
from earthsnap_train.training.head import teach_head
from earthsnap_train.training.logistic import Head
from earthsnap_train.training.train import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("--rank", required=True)
    parser.add_argument("--gpu", action="store_true", help="both on the first GPU; seconds are then the clock's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    photographs = Photographs.read(options.embeddings)
    few = Few(per_species=None, tail=None)
    fold = fold_of(photographs, options.rank, few=few, num_folds=5, seed=0, fold=0)
    nodes = {"flat": list(fold.species)} | {group: list(own) for group, own in fold.groups.items() if len(own) > 1}
    print("| way | nodes | seconds | top-1 of all species | top-1 within groups |")
    print("|---|---|---|---|---|")
    machine = MACHINES[options.gpu]
    # What a GPU costs at its first use is paid before the clock runs.
    solve_node(fold.taught, {one: one for one in fold.species[:2]}, OURS.lesson, device=machine.device)
    fits = fitted(fold, nodes, machine)
    both = solved(fold, nodes, machine, num_views=2)
    alone = solved(fold, nodes, machine, num_views=1)
    ended = {num: solved(fold, nodes, machine, num_views=1, num_steps=num) for num in STEPS}
    enough = min(num for num, taught in ended.items() if taught.top1 >= fits.top1 and taught.within >= fits.within)
    print(
        f"\n{fits.seconds / both.seconds:.1f} times as declared, {fits.seconds / alone.seconds:.1f} times on equal "
        f"photographs, {fits.seconds / ended[enough].seconds:.1f} times to no less accuracy, after {enough} steps"
    )


STEPS = range(6, 11)


class Taught(NamedTuple):
    """All nodes: how long that took, top-1 of all species, and within groups."""

    seconds: float
    top1: float
    within: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where nodes are taught, and by what their time is taken."""

    device: str
    resources: Resources
    now: Callable[[], float]


MACHINES = {
    False: Machine(device="cpu", resources=Resources(), now=time.process_time),
    True: Machine(device="cuda:0", resources=Resources(accelerator="cuda", devices=(0,)), now=time.perf_counter),
}


def solved(
    fold: Fold, nodes: dict[str, list[str]], machine: Machine, *, num_views: int, num_steps: int | None = None
) -> Taught:
    """To the optimum, or so many steps of each head."""
    recipe = OURS.headed(max_iterations=num_steps) if num_steps else OURS
    taught = Shown(features_NVF=fold.taught.features_NVF[:, :num_views], species_N=fold.taught.species_N)
    started = machine.now()
    heads = {
        name: solve_node(taught, {one: one for one in own}, recipe.lesson, device=machine.device).head
        for name, own in nodes.items()
    }
    seconds = machine.now() - started
    way = f"solved, {num_views} {'view' if num_views == 1 else 'views'}{f', {num_steps} steps' if num_steps else ''}"
    return judged(way, seconds, fold, nodes, {name: head.logits for name, head in heads.items()})


def fitted(fold: Fold, nodes: dict[str, list[str]], machine: Machine) -> Taught:
    conf = CONF.parents[1]
    base, head, backbone = (yaml.safe_load((conf / name).read_text()) for name in FILES)
    teaching = Training.model_validate(
        base | {key: value for key, value in head.items() if key != "defaults"}
    ).teaching()
    answers, seconds = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        embeddings = embedded(fold, Path(folder))
        for number, (name, own) in enumerate(nodes.items()):
            settings = Settings(
                training=teaching, backbone=Backbone.model_validate(backbone), classes=own, splits=["train"], seed=0,
            )  # fmt: skip
            scratch = Path(folder) / str(number)
            scratch.mkdir()
            context = Context(scratch=scratch, resources=machine.resources)
            started = machine.now()
            (weight_CF, bias_C), _ = teach_head(
                settings, examples(fold, own), embeddings, context, Silence(), num_epochs=None
            )
            seconds += machine.now() - started
            answers[name] = Head(classes=tuple(own), weight_CF=weight_CF, bias_C=bias_C, of_roots=False).logits
    return judged("fitted by Lightning, 1 view", seconds, fold, nodes, answers)


FILES = ("training/base.yaml", "training/head.yaml", "backbone/lite0.yaml")


def embedded(fold: Fold, folder: Path) -> Embeddings:
    """The photographs of train and val, each called by its place."""
    np.save(folder / "features.npy", np.concatenate([part.features_NVF[:, 0] for part in (fold.taught, fold.val)]))
    num = len(fold.taught) + len(fold.val)
    (folder / "index.json").write_text(json.dumps({"image_ids": [str(place) for place in range(num)]}))
    return Embeddings({"": folder})


def examples(fold: Fold, species: list[str]) -> Examples:
    names = [*fold.taught.species_N.tolist(), *fold.val.species_N.tolist()]
    kept = [place for place, name in enumerate(names) if name in set(species)]
    return Examples(
        image_ids=[str(place) for place in kept],
        species_ids=[names[place] for place in kept],
        labels=np.asarray([species.index(names[place]) for place in kept], dtype=np.int64),
        splits=["train" if place < len(fold.taught) else "val" for place in kept],
        cluster_ids=[str(place) for place in kept],
    )


def judged(
    way: str, seconds: float, fold: Fold, nodes: dict[str, list[str]], logits: dict[str, Callable[[Floats], Floats]]
) -> Taught:
    """On the first look at the tested photographs; within groups: of each by the head of its own group. A row is shown too."""
    x_NF, species_N = fold.test.features_NVF[:, PLAIN[0]], fold.test.species_N
    right, seen = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    for name, own in nodes.items():
        rows = np.flatnonzero(np.isin(species_N, own))
        named = np.asarray(own)[logits[name](x_NF[rows]).argmax(axis=1)]
        right[name], seen[name] = int((named == species_N[rows]).sum()), len(rows)
    within = [name for name in nodes if name != "flat"]
    taught = Taught(
        seconds=seconds,
        top1=right["flat"] / seen["flat"],
        within=sum(right[name] for name in within) / sum(seen[name] for name in within),
    )
    print(f"| {way} | {len(nodes)} | {seconds:.1f} | {taught.top1:.4f} | {taught.within:.4f} |", flush=True)
    return taught


if __name__ == "__main__":
    main()
