"""Two files of one photograph."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from earthsnap_train.data.qa.duplicates import MOST_COMPARED, Pair, near_pairs
from earthsnap_train.data.qa.facts import measure

Photo = Callable[..., Image.Image]
Encode = Callable[..., bytes]


def _pairs(files: Sequence[bytes], max_difference: float = 0.38) -> list[Pair]:
    facts = [measure(data, max_megapixels=178) for data in files]
    return near_pairs(
        np.array([one.phash for one in facts], np.uint64),
        np.array([one.phash_mirrored for one in facts], np.uint64),
        np.stack([np.frombuffer(one.outline, np.uint8).reshape(48, 48) for one in facts]),
        max_bits=16,
        max_difference=max_difference,
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: image,
    "scaled": lambda image: image.resize((100, 80), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((200, 190), Image.Resampling.BICUBIC),
    "cropped": lambda image: image.crop((10, 8, 190, 152)),
    "cropped on one side": lambda image: image.crop((20, 0, 200, 160)),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored and cropped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((6, 6, 194, 154)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_other_photographs(change: str, photo: Photo, jpeg: Encode) -> None:
    files = [jpeg(photo(seed)) for seed in range(12)]
    files.insert(7, jpeg(CHANGES[change](photo(3)), quality=60))
    [pair] = _pairs(files)
    assert (pair.a, pair.b, pair.mirrored) == (3, 7, "mirrored" in change)


def test_photographs_of_their_own_make_no_pair(photo: Photo, jpeg: Encode) -> None:
    assert _pairs([jpeg(photo(seed)) for seed in range(60)]) == []


def test_the_same_outline_with_other_detail_is_another_photograph(photo: Photo, jpeg: Encode) -> None:
    outline = photo(1).reduce(20).resize((200, 160), Image.Resampling.BICUBIC)
    files = [jpeg(Image.blend(outline, photo(seed), 0.2)) for seed in (5, 6)]
    [pair] = _pairs(files, max_difference=1)
    assert pair.difference > 0.38


def test_a_pair_does_not_depend_on_what_lies_around_it(photo: Photo, jpeg: Encode) -> None:
    copies = [jpeg(photo(3)), jpeg(photo(3).crop((10, 8, 190, 152)))]
    [alone] = _pairs(copies)
    [among_others] = _pairs([*copies, *(jpeg(photo(seed)) for seed in range(10, 40))])
    assert among_others == alone


def test_a_long_burst_hangs_together_although_not_every_pair_is_compared(photo: Photo, jpeg: Encode) -> None:
    files = [jpeg(photo(3), quality=40 + number) for number in range(MOST_COMPARED + 20)]
    reached, edges = {0}, _pairs(files)
    for _ in files:
        reached |= {end for pair in edges if {pair.a, pair.b} & reached for end in (pair.a, pair.b)}
    assert len(reached) == len(files)


def test_fewer_than_two_photographs_make_no_pair(photo: Photo, jpeg: Encode) -> None:
    assert _pairs([jpeg(photo(1))]) == []
