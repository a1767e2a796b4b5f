"""Trunks in 8-bit integers: nearly the same features, the same bytes everywhere, and refused where too much is lost."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.errors import StageError
from earthsnap_train.models.export import sha256_of
from earthsnap_train.models.family import Family, Node
from earthsnap_train.models.quantize import NUM_CALIBRATED, drawings, quantize, require_faithful
from earthsnap_train.release.load import open_release
from earthsnap_train.serving.engine import Models

INT8 = "backbone.quantization=int8"
NODE = "child/rosaceae"


def kinds_in(path: Path) -> set[str]:
    import onnx

    return {node.op_type for node in onnx.load(path).graph.node}


def test_drawings_are_the_same_every_time_and_all_different() -> None:
    preprocessing = Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear")
    once = np.stack(list(drawings(preprocessing)))
    again = np.stack(list(islice(drawings(preprocessing), 8)))

    assert once.shape == (NUM_CALIBRATED, 3, 32, 32)
    assert np.array_equal(once[:8], again)
    assert len({image.tobytes() for image in once}) == NUM_CALIBRATED


def test_a_frozen_trunk_in_integers_gives_nearly_the_same_features(tiny: Callable[..., Any]) -> None:
    exact, integers = (tiny("training=head", *more).out("trunk") / "trunk.onnx" for more in ((), (INT8,)))
    images = np.random.default_rng(0).integers(0, 256, size=(16, 3, 32, 32), dtype=np.uint8)
    features = {path: Models({"t": path}).features("t", images) for path in (exact, integers)}

    assert "QuantizeLinear" in kinds_in(integers)
    assert "QuantizeLinear" not in kinds_in(exact)
    assert 0 < require_faithful(features[integers], features[exact], backbone="x", quantization="int8") < 0.1


def test_equal_trunks_and_photographs_give_equal_bytes(tiny: Callable[..., Any], tmp_path: Path) -> None:
    exact = tiny("training=head").out("trunk") / "trunk.onnx"
    images = np.random.default_rng(0).integers(0, 256, size=(4, 3, 32, 32), dtype=np.uint8)
    for name in ("once", "again"):
        quantize(exact, images, tmp_path / name)

    assert (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "once").read_bytes()


def test_heads_are_taught_on_what_is_served(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head", INT8)
    features = np.load(family.out("embed/rosaceae") / "features.npy")

    assert not np.array_equal(features, np.load(tiny("training=head").out("embed/rosaceae") / "features.npy"))
    node = Node.model_validate_json((family.out(f"export/{NODE}") / "node.json").read_bytes())
    assert node.quantization == "int8"
    assert node.trunk == sha256_of(family.out("trunk") / "trunk.onnx")


def test_a_trunk_of_its_own_is_quantised_on_what_it_learnt_from(tiny: Callable[..., Any]) -> None:
    out = tiny("training=full", "training.num_epochs=1", INT8).out(f"export/{NODE}")

    assert "QuantizeLinear" in kinds_in(out / "trunk.onnx")
    assert json.loads((out / "notes/parity.json").read_text())["lost_share"] < 0.1


def test_how_a_network_is_exported_does_not_teach_it_anew(tiny: Callable[..., Any]) -> None:
    plans = [tiny("training=full", "training.num_epochs=1", *more).plan for more in ((), (INT8,))]

    for name in (f"train/{NODE}", f"records/{NODE.removeprefix('child/')}"):
        one, other = (plan.stage(name) for plan in plans)
        assert one.settings == other.settings
    one, other = (plan.stage(f"export/{NODE}") for plan in plans)
    assert one.settings != other.settings


def test_features_that_lose_too_much_are_refused_with_a_remedy() -> None:
    generator = np.random.default_rng(0)
    exact_BF = generator.normal(size=(32, 8)).astype(np.float32)
    noise_BF = generator.normal(size=(32, 8)).astype(np.float32)

    assert require_faithful(exact_BF + 0.1 * noise_BF, exact_BF, backbone="x", quantization="int8") == pytest.approx(
        0.01, rel=0.5
    )
    for spoilt_BF in (exact_BF + noise_BF, np.full_like(exact_BF, np.nan)):
        with pytest.raises(StageError, match=r"backbone\.name=x: 8-bit integers lose") as raised:
            require_faithful(spoilt_BF, exact_BF, backbone="x", quantization="int8")
        assert "backbone.quantization=none" in raised.value.remedy


def test_floats_that_are_not_equal_are_refused_as_well() -> None:
    exact_BF = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)

    assert require_faithful(exact_BF + np.float32(1e-5), exact_BF, backbone="x", quantization="none") < 1e-6
    with pytest.raises(StageError, match=r"backbone\.name=x: the exported network's features differ"):
        require_faithful(exact_BF + np.float32(0.1), exact_BF, backbone="x", quantization="none")


def test_a_release_in_integers_says_so_and_gives_its_golden_answers(tiny: Callable[..., Any]) -> None:
    release: Path = tiny("training=head", INT8).release()
    family = Family.model_validate_json((release / "family.json").read_bytes())

    assert family.quantized
    assert open_release(release).engine.precision == "int8"
