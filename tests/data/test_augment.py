import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from earthsnap_train.data.augment import Mix, TrainTransform
from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.spec.augmentation import Augmentation

PREPROCESSING = Preprocessing(image_px=48, crop_fraction=1.0, interpolation="bicubic")
EVERYTHING = {
    "scale_min": 0.4,
    "ratio_max": 1.33,
    "rotation_deg": 15,
    "horizontal_flip": True,
    "colour_jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05},
    "random_erasing": 0.5,
    "mixup": None,
    "cutmix": None,
}
NOTHING = {
    "scale_min": 1.0,
    "ratio_max": 1.0,
    "rotation_deg": 0,
    "horizontal_flip": False,
    "colour_jitter": None,
    "random_erasing": None,
    "mixup": None,
    "cutmix": None,
}
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def transform(seed: int = 0, **changes: object) -> TrainTransform:
    return TrainTransform(Augmentation.model_validate(EVERYTHING | changes), PREPROCESSING, seed=seed)


def test_the_same_photograph_at_the_same_visit_is_varied_the_same_way_in_any_order() -> None:
    one, other = transform(), transform()
    forwards = [one(NOISE, image_id=image_id, visit=1) for image_id in ("a", "b", "c")]
    backwards = [other(NOISE, image_id=image_id, visit=1) for image_id in ("c", "b", "a")]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


def test_visit_image_and_seed_each_change_what_is_seen() -> None:
    seen = transform()(NOISE, image_id="a", visit=0)
    assert not torch.equal(seen, transform()(NOISE, image_id="a", visit=1))
    assert not torch.equal(seen, transform()(NOISE, image_id="b", visit=0))
    assert not torch.equal(seen, transform(seed=1)(NOISE, image_id="a", visit=0))


def test_the_result_is_bytes_of_the_size_the_network_sees() -> None:
    seen = transform()(NOISE, image_id="a", visit=0)
    assert (seen.dtype, tuple(seen.shape)) == (torch.uint8, (3, 48, 48))


def test_the_random_numbers_of_the_rest_of_the_program_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    transform()(NOISE, image_id="a", visit=0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name not in ("ratio_max", "mixup", "cutmix")])
def test_each_setting_does_something(name: str) -> None:
    still = transform(**NOTHING)
    varied = transform(**NOTHING | {name: EVERYTHING[name]})
    visits = range(4)
    assert any(
        not torch.equal(still(NOISE, image_id="a", visit=visit), varied(NOISE, image_id="a", visit=visit))
        for visit in visits
    )


def test_where_nothing_is_varied_a_square_photograph_is_only_resized() -> None:
    square = NOISE.resize((96, 96), Image.Resampling.BICUBIC)
    expected = np.asarray(square.resize((48, 48), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    seen = transform(**NOTHING)(square, image_id="a", visit=0).numpy()
    assert np.abs(seen.astype(int) - expected).max() <= 2


def test_lanczos_is_accepted() -> None:
    preprocessing = Preprocessing(image_px=48, crop_fraction=1.0, interpolation="lanczos")
    settings = Augmentation.model_validate(EVERYTHING)
    seen = TrainTransform(settings, preprocessing, seed=0)(NOISE, image_id="a", visit=0)
    assert tuple(seen.shape) == (3, 48, 48)


BATCH = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 3, 8, 8) * 80
LABELS = torch.tensor([2, 0, 1, 1])


def mixed(seed: int, **changes: object) -> tuple[Tensor, Tensor]:
    mix = Mix.of(Augmentation.model_validate(NOTHING | changes), num_classes=3)
    assert mix is not None
    torch.manual_seed(seed)
    return mix(BATCH, LABELS)


def test_nothing_is_mixed_unless_it_is_asked_for() -> None:
    assert Mix.of(Augmentation.model_validate(EVERYTHING), num_classes=3) is None


def test_mixup_blends_each_photograph_and_its_label_with_a_neighbour() -> None:
    images_BCHW, shares_BC = mixed(0, mixup=1.0)
    share = shares_BC[0, 2].item()
    assert 0.01 < share < 0.99
    one_hot = torch.eye(3)[LABELS]
    assert torch.allclose(shares_BC, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    assert torch.allclose(images_BCHW, share * BATCH.float() + (1 - share) * BATCH.float().roll(1, 0))


def test_cutmix_pastes_a_rectangle_and_counts_its_area() -> None:
    images_BCHW, shares_BC = mixed(0, cutmix=1.0)
    pasted_HW = images_BCHW[1, 0] == BATCH[0, 0, 0, 0]
    assert 0 < pasted_HW.float().mean() < 1
    assert ((images_BCHW[1, 0] == BATCH[1, 0, 0, 0]) | pasted_HW).all()
    assert shares_BC[1].tolist() == pytest.approx(
        [1 - pasted_HW.float().mean().item(), 0, pasted_HW.float().mean().item()]
    )


def test_with_both_each_batch_gets_one_of_them_by_the_seed_alone() -> None:
    blended = [len(mixed(seed, mixup=1.0, cutmix=1.0)[0][1].unique()) == 1 for seed in range(20)]
    assert set(blended) == {True, False}
    for one, again in zip(mixed(5, mixup=1.0, cutmix=1.0), mixed(5, mixup=1.0, cutmix=1.0), strict=True):
        assert torch.equal(one, again)
