import base64
import io
from collections.abc import Callable

from PIL import Image

from earthsnap_train.evaluation.pictures import Album, thumbnail


def test_a_full_album_hands_out_no_more_pictures(noisy_photo: Callable[[str], bytes]) -> None:
    album = Album(noisy_photo, budget_bytes=len(thumbnail(noisy_photo("a"), 64)) + 100)
    assert album.picture("a", 64) == thumbnail(noisy_photo("a"), 64)
    assert album.picture("b", 64) is None


def test_a_photograph_that_is_gone_or_broken_is_passed_over() -> None:
    assert Album(lambda uri: None, budget_bytes=10_000).picture("a", 64) is None
    assert Album(lambda uri: b"no picture", budget_bytes=10_000).picture("a", 64) is None


def test_a_thumbnail_is_square_and_never_enlarged() -> None:
    wide = io.BytesIO()
    Image.new("RGB", (300, 100), "red").save(wide, "PNG")
    uri = thumbnail(wide.getvalue(), 240)
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.size == (100, 100)
