"""What a family costs beside one flat network of the same backbone, and what of it is routing.

    python benchmarks/serving/cost.py registry/FAMILY/1 registry/FLAT/1

Both answer the family's golden photographs, one at a time on one core, prepared before; the two in turns, so that a busy
machine is busy for both.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROUNDS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", type=Path)
    parser.add_argument("flat", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {0})
    from earthsnap_train.data.preprocess import prepare_file
    from earthsnap_train.release.load import open_release

    family, flat = open_release(arguments.family).engine, open_release(arguments.flat).engine
    golden = arguments.family / "golden"
    images = [
        prepare_file((golden / one["file"]).read_bytes(), family.family.preprocessing, max_megapixels=60)[None]
        for one in json.loads((golden / "answers.json").read_bytes())
    ]
    children = [int(family.answer(image).children_run_B[0]) for image in images]

    def networks(image: np.ndarray) -> None:
        """What the family's networks take alone: the parent's, and those of the children that are asked."""
        nodes = family.family
        features = family.models.features(nodes.root.trunk, image)
        root = family.models.probabilities(nodes.root, features)
        for place in np.flatnonzero(nodes.children_to_run(nodes.group_probabilities(root))[0]):
            child = nodes.child(nodes.groups[place])
            if child is not None:
                seen = features if child.trunk == nodes.root.trunk else family.models.features(child.trunk, image)
                family.models.logits(child, seen)

    seconds = in_turns({"family": family.answer, "flat": flat.answer, "networks": networks}, images)
    family_ms, flat_ms, networks_ms = (1000 * np.asarray(seconds[name]) for name in ("family", "flat", "networks"))
    one_child = np.tile(np.asarray(children) == 1, ROUNDS)
    together = np.median(family_ms[one_child]) / np.median(flat_ms[one_child])
    print(
        f"parent and one child {np.median(family_ms[one_child]):.2f} ms, flat {np.median(flat_ms):.2f} ms: {together:.2f} times"
    )
    print(f"all photographs, {np.mean(children):.2f} children each: {family_ms.mean() / flat_ms.mean():.2f} times")
    print(f"routing {np.median(family_ms - networks_ms):.2f} ms")


def in_turns(what: dict[str, Callable[[np.ndarray], object]], images: list[np.ndarray]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in what}
    for number in range(ROUNDS + 1):
        for image in images:
            for name, function in what.items():
                begin = time.perf_counter()
                function(image)
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - begin)
    return seconds


if __name__ == "__main__":
    main()
