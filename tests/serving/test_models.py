"""Which networks are open: all that fit, else those that were asked last."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.models.export import sha256_of
from earthsnap_train.models.family import Family
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.release.load import load_and_try, open_release
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.serving.precision import holds
from earthsnap_train.serving.runtimes import TOLERANCE, OpenVino
from earthsnap_train.serving.server import serve
from tests.serving.served import served, start


@pytest.fixture(scope="module")
def release(tiny: Callable[..., Any]) -> Path:
    folder: Path = tiny("training=full", "training.num_epochs=1").release()  # each node has a trunk of its own
    return folder


def family_of(release: Path) -> Family:
    return Family.model_validate_json((release / "family.json").read_bytes())


def num_mb(release: Path, *nodes: str) -> float:
    family, files = family_of(release), model_files(family_of(release), release)
    digests = {digest for name in nodes for digest in (family.nodes[name].trunk, family.nodes[name].head)}
    return sum(files[digest].stat().st_size for digest in digests) / (1 << 20)


def photographs(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, size=(count, 3, 32, 32), dtype=np.uint8)


CHILDREN = ("child/rosaceae", "child/fagaceae")


def test_all_networks_are_open_before_the_first_answer_where_they_fit(release: Path) -> None:
    models = open_release(release).engine.models
    models.load(family_of(release))
    assert models.num_open == models.num_loads == 6


def test_only_what_every_photograph_needs_is_open_at_first_where_they_do_not_fit(release: Path) -> None:
    models = open_release(release, max_mb=num_mb(release, "parent", *CHILDREN) - 0.001).engine.models
    models.load(family_of(release))
    assert models.num_open == 2
    assert all(models.is_open(digest) for digest in (family_of(release).root.trunk, family_of(release).root.head))


def test_children_take_turns_where_only_one_fits_and_answer_the_same(release: Path) -> None:
    family = family_of(release)
    room = num_mb(release, "parent") + max(num_mb(release, child) for child in CHILDREN) + 0.001
    small = Engine(family, Models(model_files(family, release), max_mb=room))
    large = open_release(release).engine
    images = photographs(6)
    for image in images:
        assert np.array_equal(small.answer(image[None]).species_BS, large.answer(image[None]).species_BS)
    assert small.models.num_evictions > 0
    assert small.models.num_loads > large.models.num_loads
    assert large.models.num_evictions == 0
    open_now = sum(
        path.stat().st_size for digest, path in model_files(family, release).items() if small.models.is_open(digest)
    )
    assert open_now <= room * (1 << 20)


def test_a_network_that_alone_is_larger_than_the_limit_is_open_while_it_is_needed(release: Path) -> None:
    family = family_of(release)
    engine = Engine(family, Models(model_files(family, release), max_mb=0.0))
    assert np.isfinite(engine.answer(photographs(1)).species_BS).all()
    assert engine.models.num_open == 1


def test_a_child_that_carries_no_mass_is_neither_run_nor_opened(release: Path) -> None:
    family = family_of(release)
    assert family.routing is not None
    first_alone = family.model_copy(update={"routing": family.routing.model_copy(update={"top_k": 1})})
    models = Models(model_files(family, release))
    answer = Engine(first_alone, models).answer(photographs(1))
    group = family.groups[int(answer.groups_BG[0].argmax())]
    asked = [child for child in CHILDREN if models.is_open(family.nodes[child].head)]
    assert asked == ([f"child/{group}"] if f"child/{group}" in CHILDREN else [])


def test_trying_a_release_opens_what_the_first_answer_needs(release: Path) -> None:
    opened = open_release(release)
    load_and_try(opened)
    loads = opened.engine.models.num_loads
    opened.engine.answer(photographs(4))
    assert opened.engine.models.num_loads == loads


# ---- the other engine


def test_openvino_gives_the_same_answers_in_float32(release: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    usual = open_release(release).engine
    other = open_release(release, runtime=OpenVino(streams=1, precision="float32")).engine
    images = photographs(4)
    assert other.answer(images).species_BS == pytest.approx(usual.answer(images).species_BS, abs=1e-3)


def test_a_precision_is_taken_only_where_the_golden_answers_hold(release: Path, tmp_path: Path) -> None:
    opened = open_release(release)
    assert holds(opened, release)
    other = tmp_path / "release"
    shutil.copytree(release, other)
    answers = json.loads((other / "golden/answers.json").read_text())
    for answer in answers:
        (first, likeliest), *others = answer["top"]
        answer["top"] = [[first, min(1.0, likeliest + 0.1)], *others]
    (other / "golden/answers.json").write_text(json.dumps(answers))
    assert not holds(opened, other)
    (other / "golden/answers.json").write_text("[]")
    assert not holds(opened, other)


@pytest.mark.slow
def test_a_server_in_bf16_says_what_it_computes_in(release: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with served(release, tmp_path, engine="openvino", precision="bf16") as server:
        info = server.get("/v1/info").json
        assert info["engine"] == "openvino"
        assert info["precision"] in ("bf16", "float32")  # as the processor can
        for golden in json.loads((release / "golden/answers.json").read_text()):
            said = server.identify((release / "golden" / golden["file"]).read_bytes()).json
            assert {one["species_id"]: one["probability"] for one in said["species"]}[golden["top"][0][0]] == (
                pytest.approx(golden["top"][0][1], abs=TOLERANCE[info["precision"]])
            )


def test_openvino_that_is_not_there_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install .*openvino"):
        OpenVino(streams=1, precision="float32")


# ---- integers


def test_a_server_answers_in_integers_and_says_so(tiny: Callable[..., Any], tmp_path: Path) -> None:
    release: Path = tiny("training=head", "backbone.quantization=int8").release()
    with served(release, tmp_path) as server:
        assert server.get("/v1/info").json["precision"] == "int8"
        golden = json.loads((release / "golden/answers.json").read_text())
        for one in golden[:4]:
            said = server.identify((release / "golden" / one["file"]).read_bytes()).json["species"][0]
            assert said["species_id"] == one["top"][0][0]
            assert said["probability"] == pytest.approx(one["top"][0][1], abs=1e-4)


def test_a_release_in_integers_is_not_served_where_they_are_computed_otherwise(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    release = tmp_path / "release"
    shutil.copytree(tiny("training=head", "backbone.quantization=int8").release(), release)
    answers = json.loads((release / "golden/answers.json").read_text())
    for answer in answers:
        answer["top"] = [[species, 1.0 - probability] for species, probability in reversed(answer["top"])]
    (release / "golden/answers.json").write_text(json.dumps(answers))
    described = json.loads((release / "release.json").read_text())
    described["files"]["golden/answers.json"] = sha256_of(release / "golden/answers.json")
    (release / "release.json").write_text(json.dumps(described))

    with pytest.raises(EnvironmentProblem, match="does not give the golden answers") as raised:
        serve(start(release, tmp_path))
    assert "backbone.quantization=none" in raised.value.remedy
