"""Species are added to a family in use: from photographs in a folder to a release that waits, or that gates stop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from earthsnap_train.models.family import Family
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from tests.conftest import SMALL, Said

TYPED = (
    # Heads that are solved take no settings of a training.
    *(one for one in SMALL if not one.startswith("training.") or one.startswith("training.records_px=")),
    "architecture=shared_trunk",
    "dataset.source.root=photographs",
    "dataset.split.test=0.4",
    "dataset.min_images_per_species=10",
    "launcher.stages=1",
    "evaluation.flat=off",
)
COLOURS = {
    "reds/rose": (230, 30, 40),
    "reds/poppy": (200, 90, 30),
    "blues/iris": (40, 40, 220),
    "blues/flax": (80, 180, 240),
}


def draw(root: Path, name: str, colour: tuple[int, int, int], *, count: int) -> None:
    """Photographs of one colour, each with shapes and a grain of its own."""
    (root / name).mkdir(parents=True)
    generator = np.random.default_rng(list(name.encode()))
    for number in range(count):
        tones = generator.normal(0, 25, size=(6, 6, 1)) + np.asarray(colour)
        pixels = np.kron(tones, np.ones((8, 8, 1))) + generator.normal(0, 20, size=(48, 48, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")


def make_live(name: str) -> None:
    registry = Registry(Path("registry"))
    registry.approve(name, why="", origin="test", anyway=True)
    release, deployments = registry.get(name), Deployments(registry.ledger)
    deployments.go_live(deployments.begin(release.family, release.number, origin="test"), standby=False, origin="test")


def summary() -> Any:
    return json.loads((sorted(Path("outputs/tiny").iterdir())[-1] / "summary.json").read_bytes())


@pytest.mark.slow
def test_a_new_species_that_takes_from_an_old_one_is_stopped_and_the_worst_is_named(
    earthsnap: Callable[..., Said],
) -> None:
    photographs = Path("photographs")
    for name, colour in COLOURS.items():
        draw(photographs, name, colour, count=40)
    first = earthsnap(*TYPED)
    assert first.code == 0, first.err
    make_live("tiny-1")
    draw(photographs, "reds/tulip", COLOURS["reds/rose"], count=120)  # nobody could tell it from the rose

    planned = earthsnap("plan", *TYPED, "base=tiny-1")
    said = earthsnap(*TYPED, "base=tiny-1")

    assert "child/reds: 1 new species (tulip), 120 new photographs" in planned.out
    assert "untouched: 1 node" in planned.out
    assert said.code == 0, said.err
    assert "release  tiny-2 was rejected by its gates" in said.out
    told = summary()
    (gate,) = [one for one in told["gates"] if one["metric"] == "champion.num_worse"]
    assert not gate["passed"]
    assert gate["beside"] == "tiny-1"
    assert gate["words"].startswith("rose: recall ")
    assert told["champion"]["worse"] == ["rose"]
    assert f"         beside tiny-1: {gate['words']}" in said.out
    assert told["champion"]["added"] == ["tulip"]
    assert told["base"]["release"] == "tiny-1"
    assert told["base"]["new"]["num_images"] > 10
    assert told["base"]["kept"]  # it knew the reds
    assert "parent   kept from tiny-1: it routes " in said.out
    old, new = (Path(f"registry/tiny/{number}") for number in (1, 2))
    same = {
        node: (old / "nodes" / node).read_bytes() == (new / "nodes" / node).read_bytes()
        for node in ("parent.onnx", "child--blues.onnx", "child--reds.onnx")
    }
    assert same == {"parent.onnx": True, "child--blues.onnx": True, "child--reds.onnx": False}
    assert Family.model_validate_json((new / "family.json").read_bytes()).species[-1] == "tulip"
    first_page, page = ((folder / "report.html").read_text() for folder in sorted(Path("outputs/tiny").iterdir()))
    assert "<span>Parent</span>" in page
    assert "The parent was taught" in page
    assert ["validation preferred that to" in one for one in (first_page, page)] == [True, False]  # it was kept
