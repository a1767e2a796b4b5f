"""How training varies photographs: torchvision v2, seeded per image or per step. Nothing outside training imports this."""

import hashlib

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from earthsnap_train.data.preprocess import Interpolation, Preprocessing
from earthsnap_train.spec.augmentation import Augmentation

# Lanczos is Pillow's alone; on tensors, which are twice as fast to crop, bicubic is nearest to it.
_INTERPOLATION: dict[Interpolation, InterpolationMode] = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.BICUBIC,
}
_GREY = 127


class TrainTransform:
    """An RGB photograph -> uint8 [3, image_px, image_px], varied as a pure function of (seed, visit, image id).

    So a photograph looks the same in the same epoch whichever process prepares it, and in whatever order.
    """

    def __init__(self, augmentation: Augmentation, preprocessing: Preprocessing, *, seed: int) -> None:
        self._seed = seed
        self._vary = _compose(augmentation, preprocessing)

    def __call__(self, image: Image.Image, *, image_id: str, visit: int) -> Tensor:
        # A view, so that nothing is copied: torch crops and resizes channels-last memory as it lies.
        pixels_CHW = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        generator = torch.default_generator  # the only one that torchvision's transforms draw from
        state = generator.get_state()
        generator.manual_seed(_seed_of(self._seed, visit, image_id))
        try:
            varied: Tensor = self._vary(pixels_CHW)
        finally:
            generator.set_state(state)
        return varied


class Mix:
    """uint8 photographs [B, 3, H, W] and labels [B] -> mixed photographs, and the share of each class in them [B, C].

    One share for the whole batch, each photograph with its neighbour in it. It draws from torch's default generator, which
    whoever calls has seeded. Of several devices each mixes what it was given.
    """

    def __init__(self, augmentation: Augmentation, *, num_classes: int) -> None:
        ways: list[v2.Transform] = []
        if augmentation.mixup is not None:
            ways.append(v2.MixUp(alpha=augmentation.mixup, num_classes=num_classes))
        if augmentation.cutmix is not None:
            ways.append(v2.CutMix(alpha=augmentation.cutmix, num_classes=num_classes))
        self._mix = v2.RandomChoice(ways)

    @classmethod
    def of(cls, augmentation: Augmentation, *, num_classes: int) -> "Mix | None":
        """None where nothing is to be mixed."""
        wanted = augmentation.mixup is not None or augmentation.cutmix is not None
        return cls(augmentation, num_classes=num_classes) if wanted else None

    def __call__(self, images_BCHW: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        # Floats, for a weighted mean of whole numbers is none; the network takes both.
        mixed: tuple[Tensor, Tensor] = self._mix(images_BCHW.float(), labels_B)
        return mixed


def _compose(a: Augmentation, preprocessing: Preprocessing) -> v2.Compose:
    steps = [
        v2.RandomResizedCrop(
            preprocessing.image_px,
            scale=(a.scale_min, 1.0),
            ratio=(1 / a.ratio_max, a.ratio_max),
            interpolation=_INTERPOLATION[preprocessing.interpolation],
            antialias=True,
        )
    ]
    if a.rotation_deg:
        steps.append(v2.RandomRotation(a.rotation_deg, interpolation=InterpolationMode.BILINEAR, fill=_GREY))
    if a.horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if a.colour_jitter is not None:
        steps.append(v2.ColorJitter(**a.colour_jitter.model_dump()))
    if a.random_erasing is not None:
        steps.append(v2.RandomErasing(p=a.random_erasing, value=_GREY))
    return v2.Compose(steps)


def _seed_of(seed: int, visit: int, image_id: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{visit}/{image_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
