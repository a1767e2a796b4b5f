r"""All that teaching one flat network of plants-dev needs, in one folder that is small enough to be carried elsewhere.

    python benchmarks/losses/pack.py ../shared/data/plants-dev outputs/losses/packed --jpeg-quality 50 \
        dataset.limit.photos_per_species=100

The stages of the plan up to the training run as they are: checks, split, records, the pretrained trunk. To be small, the
records are stored at a lower quality than by default, and the trunk's large tensors in 16 bits.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file, save_file

from earthsnap_train.__main__ import conf_folder, through_the_door, translate
from earthsnap_train.context import Context, Resources
from earthsnap_train.pipeline.plan import Stage, split_reference
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.stages import function
from earthsnap_train.pipeline.store import Store

TRAIN = "train/flat"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--jpeg-quality", type=int, default=60)
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as work:
        prepared = planned(options, Path(work), overrides)
        follow = Follower(prepared, Path(work) / "stages")
        stage = prepared.plan.stage(TRAIN)
        shutil.rmtree(options.out, ignore_errors=True)
        for name, reference in stage.references():
            if not name.startswith("embed/"):  # computed where they are used
                ignored = shutil.ignore_patterns("*.onnx", "notes")
                shutil.copytree(follow.out(reference), options.out / name, ignore=ignored)
        shutil.copy(follow.out("ingest") / "taxonomy.parquet", options.out)
        (options.out / "settings.json").write_text(json.dumps(stage.settings, indent=1))
    halve(options.out / "trunk" / "trunk.safetensors")
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}: {size / 2**20:.1f} MiB")


def planned(options: argparse.Namespace, work: Path, overrides: list[str]) -> Prepared:
    """The declaration as ``benchmarks/plants_dev.py`` has it, of one network. A rank's weight asks for the lineages."""
    typed = [
        "name=losses", "tracking=none", "architecture=flat", "training=head_then_full", "training.rank_weight=1",
        f"training.jpeg_quality={options.jpeg_quality}", "dataset=table", f"dataset.source.root={options.data.resolve()}",
        "dataset.source.columns.species=class", "dataset.source.columns.scientific_name=species",
        "dataset.source.columns.common_name=common_name", "dataset.source.ranks=[group,family,genus]",
        *(f"paths.{name}={work / name}" for name in ("store", "outputs", "registry", "groupings")), *overrides,
    ]  # fmt: skip
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        spec = through_the_door(compose("config", overrides=translate(typed)))
    return prepare(spec, Store(work / "store"))


class Follower:
    """Runs each stage that is asked for, and before it those that it reads."""

    def __init__(self, prepared: Prepared, root: Path) -> None:
        self._plan = prepared.plan
        self._places: dict[str, Path] = {f"@{name}": place for name, place in prepared.places.items()}
        self._root = root

    def out(self, reference: str) -> Path:
        name, inside = split_reference(reference)
        if name not in self._places:
            stage = self._plan.stage(name)
            self._places[name] = self._run(stage, {key: self.out(ref) for key, ref in stage.references()})
        return self._places[name] / inside

    def _run(self, stage: Stage, inputs: Mapping[str, Path]) -> Path:
        out, scratch = self._root / stage.name, self._root / "scratch" / stage.name
        out.mkdir(parents=True)
        scratch.mkdir(parents=True)
        context = Context(scratch=scratch, resources=Resources(workers=os.cpu_count() or 2))
        function(stage.kind)(stage.settings, inputs, out, context)
        return out


def halve(weights: Path) -> None:
    """Statistics and biases keep their 32 bits."""
    state = {name: t.half() if t.ndim > 1 else t for name, t in load_file(weights).items()}
    assert all(torch.isfinite(t).all() for t in state.values())
    save_file(state, weights)


if __name__ == "__main__":
    main()
