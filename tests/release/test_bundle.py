"""A release: whole, of a known digest, and answering as it did when it was made."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from earthsnap_train.data.manifest import read_manifest
from earthsnap_train.data.preprocess import prepare_file
from earthsnap_train.errors import IntegrityError
from earthsnap_train.models.family import Family
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.load import open_release

FAMILIES = {
    "heads on one trunk": ("training=head",),
    "trunks of their own": ("training=full", "training.num_epochs=1"),
    "flat": ("training=head", "architecture=flat"),
    "hard": ("training=head", "architecture.routing.kind=hard", "architecture.parent.targets=groups"),
    "nearest first": ("training=head", "architecture.named_first=least_expected_distance"),
}


def family_of(release: Path) -> Family:
    return Family.model_validate_json((release / "family.json").read_bytes())


@pytest.mark.parametrize("options", FAMILIES.values(), ids=FAMILIES.keys())
def test_an_opened_release_gives_its_golden_answers(tiny: Callable[..., Any], options: tuple[str, ...]) -> None:
    release = tiny(*options).release()
    opened = open_release(release)
    answers = json.loads((release / "golden/answers.json").read_text())
    assert {opened.engine.family.group_of[a["species_id"]] for a in answers} == set(opened.engine.family.groups)
    for answer in answers:
        data = (release / "golden" / answer["file"]).read_bytes()
        image = prepare_file(data, opened.engine.family.preprocessing, max_megapixels=178)
        top = opened.naming.top(opened.engine.answer(image[None]).species_BS[0], 5)
        assert [[species, round(p, 5)] for species, p in top] == answer["top"]


def test_golden_photographs_are_originals_of_the_test_split(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head")
    rows = {row.image_id[:16]: row for row in read_manifest(family.out("ingest") / "manifest.parquet")}
    names = [answer["file"] for answer in json.loads((family.release() / "golden/answers.json").read_text())]
    assert len(set(names)) == len(names) >= 6
    for name in names:
        row = rows[Path(name).stem]
        assert row.split == "test"
        assert (family.places["photographs"] / row.uri).read_bytes() == (
            family.release() / "golden" / name
        ).read_bytes()


def test_a_trunk_that_all_share_is_there_once_and_one_of_its_own_beside_each_head(tiny: Callable[..., Any]) -> None:
    shared = tiny(*FAMILIES["heads on one trunk"]).release()
    own = tiny(*FAMILIES["trunks of their own"]).release()
    nodes = ["child--fagaceae.onnx", "child--rosaceae.onnx", "parent.onnx"]  # one ginkgo needs no network
    assert sorted(p.name for p in (shared / "nodes").iterdir()) == nodes
    assert sorted(p.name for p in (own / "nodes").iterdir()) == nodes
    assert len(list((shared / "trunks").iterdir())) == 1
    assert len(list((own / "trunks").iterdir())) == 3


def files_of(release: Path) -> list[str]:
    return sorted(p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file())


def test_a_changed_byte_anywhere_is_refused_by_name(tiny: Callable[..., Any]) -> None:
    release = tiny("training=head").release()
    for name in files_of(release):
        if name == "release.json":
            continue
        whole = (release / name).read_bytes()
        (release / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        try:
            with pytest.raises(IntegrityError, match=f"{name} is not what was registered"):
                open_release(release)
        finally:
            (release / name).write_bytes(whole)
    open_release(release)


@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_release_without_its_description_is_refused(
    tiny: Callable[..., Any], tmp_path: Path, content: bytes | None
) -> None:

    release = tmp_path / "release"
    shutil.copytree(tiny("training=head").release(), release)
    (release / "release.json").unlink()
    if content is not None:
        (release / "release.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"release\.json is not what was registered"):
        open_release(release)


def test_a_model_that_the_description_does_not_know_is_refused(tiny: Callable[..., Any], tmp_path: Path) -> None:

    release = tmp_path / "release"
    shutil.copytree(tiny("training=head").release(), release)
    described = json.loads((release / "release.json").read_text())
    del described["files"]["nodes/parent.onnx"]
    (release / "release.json").write_text(json.dumps(described))
    with pytest.raises(IntegrityError, match=r"nodes/parent\.onnx is not what was registered"):
        open_release(release)


@pytest.mark.slow
def test_equal_declarations_in_other_folders_are_one_release(tiny: Callable[..., Any], tmp_path: Path) -> None:
    """Everything is done again from the photographs, which lie elsewhere."""

    first = tiny("training=head")
    shutil.copytree(first.places["photographs"], tmp_path / "elsewhere")
    places = {**first.places, "photographs": tmp_path / "elsewhere"}
    (tmp_path / "again").mkdir()
    again = replace(first, root=tmp_path / "again", places=places, done=tmp_path / "again")
    assert release_digest(again.out("bundle")) == release_digest(first.out("bundle"))
    assert files_of(again.out("bundle")) == files_of(first.out("bundle"))
    for name in files_of(first.out("bundle")):
        content = (again.out("bundle") / name).read_bytes()
        assert content == (first.out("bundle") / name).read_bytes(), name
        assert str(tmp_path).encode() not in content


# ---- which photographs the released weights have seen


@pytest.mark.parametrize(
    ("fit_on", "judged", "taught_on"),
    [
        ("train", "export/{}", ["train"]),
        ("train_val", "reexport/{}", ["train", "val"]),
        ("full", "export/{}", ["train", "val", "test"]),
    ],
)
def test_the_released_weights_have_seen_what_was_declared_and_figures_say_whose_they_are(
    tiny: Callable[..., Any], fit_on: str, judged: str, taught_on: list[str]
) -> None:
    family = tiny("training=head", f"training.fit_on={fit_on}")
    refits = {s.name for s in family.plan.stages if s.name.startswith("refit/")}
    expected = set() if fit_on == "train" else {f"refit/{node}" for node in family.plan.nodes}
    assert refits == expected
    released = family_of(family.out("bundle"))
    once = family_of(tiny("training=head").out("bundle"))
    for name, node in released.nodes.items():
        assert (node.head == once.nodes[name].head) == (fit_on == "train")
        assert node.temperature == once.nodes[name].temperature  # val taught it, or nothing could have
        stage = family.plan.stage(f"evaluate/{name}")
        assert stage.inputs["export"] == judged.format(name)
    lineage = json.loads((family.out("bundle") / "lineage/dataset.json").read_text())
    assert lineage["taught_on"] == taught_on
    images = pq.read_table(family.out("bundle") / "lineage/images.parquet")
    assert set(images["split"].to_pylist()) == {"train", "val", "test"}

    card = (family.out("bundle") / "MODEL_CARD.md").read_text()
    assert ("nothing is left to judge them on" in card) == (fit_on == "full")
    assert f"splits {', '.join(taught_on)}" in card
    assert "Nothing is promised" in card  # a handful of photographs can prove nothing
    report = json.loads((family.out("report") / "report.json").read_text())
    assert report["fit_on"] == fit_on
    evaluated = json.loads((family.out("evaluate/family") / "metrics.json").read_text())
    assert report["metrics"]["top1"] == evaluated["top1"]
    if fit_on != "train_val":
        plain = json.loads((tiny("training=head").out("evaluate/family") / "metrics.json").read_text())
        assert evaluated == plain


# ---- predict


@pytest.fixture(scope="module")
def registry(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from earthsnap_train.release.registry import Registry

    family = tiny("training=head")
    root = tmp_path_factory.mktemp("registry")
    bundle = family.out("bundle")
    Registry(root).register("tiny", release_digest(bundle), bundle, reasons=[], summary={}, lineage={})
    return root


WITHOUT_TORCH = """
import sys
from earthsnap_train.__main__ import run_command
code = run_command(sys.argv[1:])
assert not {"torch", "pytorch_lightning", "timm", "torchvision", "wandb"} & set(sys.modules)
sys.exit(code)
"""


def predict(registry: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "200"}
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", *arguments, f"paths.registry={registry}"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_predict_answers_as_the_release_does_and_imports_no_torch(
    tiny: Callable[..., Any], registry: Path, tmp_path: Path
) -> None:
    golden = tiny("training=head").release() / "golden"
    first, second = json.loads((golden / "answers.json").read_text())[:2]
    done = predict(registry, tmp_path, str(golden / first["file"]), str(golden / second["file"]), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["release"] == "tiny-1"
    for answer, golden_answer in zip(said["photographs"], (first, second), strict=True):
        for one, (species, probability) in zip(answer["species"], golden_answer["top"], strict=False):
            assert one["species_id"] == species
            assert one["probability"] == pytest.approx(probability, abs=1e-4)


def test_predict_shows_a_table_and_says_what_it_could_not_read(
    tiny: Callable[..., Any], registry: Path, tmp_path: Path
) -> None:
    golden = tiny("training=head").release() / "golden"
    answer = json.loads((golden / "answers.json").read_text())[0]
    (tmp_path / "broken.jpg").write_bytes(b"no photograph")
    done = predict(registry, tmp_path, str(golden / answer["file"]), "broken.jpg")
    assert done.returncode == 2
    assert answer["top"][0][0] in done.stdout
    assert f"{100 * answer['top'][0][1]:.1f} %" in done.stdout
    assert "broken.jpg" in done.stdout
    assert "refused (not_an_image): " in done.stdout


def test_predict_says_why_the_likeliest_is_not_first(tiny: Callable[..., Any], earthsnap: Callable[..., Any]) -> None:
    from earthsnap_train.release.registry import Registry

    bundle = tiny(*FAMILIES["nearest first"]).out("bundle")
    Registry(Path("registry")).register("tiny", release_digest(bundle), bundle, reasons=[], summary={}, lineage={})
    answers = json.loads((bundle / "golden/answers.json").read_text())
    unusual = next(one for one in answers if one["top"][0][1] < one["top"][1][1])
    said = earthsnap("predict", str(bundle / "golden" / unusual["file"]))
    assert said.code == 0, said.err
    assert "The species named first is not always the likeliest" in said.out
    first, second = (said.out.index(species) for species, _ in unusual["top"][:2])
    assert first < second


def test_probabilities_of_a_release_sum_to_one(tiny: Callable[..., Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(3, 3, 32, 32), dtype=np.uint8)
    for options in FAMILIES.values():
        answer = open_release(tiny(*options).release()).engine.answer(images)
        assert answer.species_BS.sum(axis=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
