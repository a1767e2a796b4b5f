import io

import numpy as np
import pytest
from PIL import Image

from earthsnap_train.data.flora.genera import KNOWN, genera
from earthsnap_train.data.flora.photograph import photograph
from earthsnap_train.data.flora.pigment import plain
from earthsnap_train.data.flora.plant import grow
from earthsnap_train.data.flora.raster import Camera, Light, render
from earthsnap_train.data.flora.species import species_of
from earthsnap_train.data.flora.surface import Array, Outline, about_y, about_z, array, blade, piece

ORIGIN = array([0, 0, 0])
MIDDLE_OF_A_PETAL = (array([0.55]), array([0.5]), np.zeros(1, np.int32))


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), np.float32)


def test_same_plant_and_photo_give_the_same_bytes(flora):
    one = species_of(flora())[0]
    first, again = (photograph(one, seed=3, plant=1, photo=0, image_px=64) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("changed", [{"seed": 4}, {"plant": 2}, {"photo": 1}])
def test_seed_plant_and_photo_each_change_the_picture(flora, changed):
    one = species_of(flora())[0]
    base = {"seed": 3, "plant": 1, "photo": 0}
    pictures = [opened(photograph(one, **settings, image_px=64)) for settings in (base, base | changed)]
    assert np.abs(pictures[0] - pictures[1]).mean() > 5


def test_picture_has_the_size_asked_for_and_no_metadata(flora):
    image = Image.open(io.BytesIO(photograph(species_of(flora())[0], seed=3, plant=1, photo=0, image_px=70)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (70, 70))
    assert not image.getexif()


def test_plants_of_one_species_flower_in_different_colours(flora):
    one = species_of(flora())[0]
    petals = np.stack(
        [grow(one, np.random.default_rng(seed)).pieces[0].material(*MIDDLE_OF_A_PETAL) for seed in range(12)]
    )
    assert petals.std(axis=0).max() > 0.15


@pytest.mark.parametrize("number", range(len(KNOWN) + 24))
def test_every_build_fills_a_fair_part_of_the_picture(flora, number):
    count = len(KNOWN) + 24
    species = species_of(flora(num_species=count, num_groups=count))[number]
    assert species.genus == genera(count)[number]
    plant = grow(species, np.random.default_rng(5))
    ahead = camera(target=plant.focus_3, zoom=0.8 / plant.radius, perspective=0.1)
    sun = light(towards=(0, 0.6, 0.8), sky=0.5)
    picture = render(plant.pieces, ahead, sun, 96, reach=2.4 * plant.radius)
    assert 0.12 < picture.cover_HW.mean() < 0.9
    assert np.isfinite(picture.rgb_HW3).all()


def camera(*, target: Array = ORIGIN, zoom: float, perspective: float = 0.0) -> Camera:
    return Camera(turn_33=array(np.eye(3)), target_3=target, zoom=zoom, centre=(0.5, 0.5), perspective=perspective)


def light(*, towards: tuple[float, float, float], sky: float) -> Light:
    white = array([1, 1, 1])
    return Light(towards_3=array(towards), sun_3=white, sky_3=white * sky, ground_3=white * sky, softness=0.0)


def square(side: float) -> Array:
    """A nearly square sheet on z = 0 that starts at x = 0."""
    return blade(Outline(length=side, width=side, base_power=0.01, tip_power=0.01, rise=(0.0, 0.0)))


@pytest.mark.parametrize("turned", [0.0, 0.3, 0.785])
def test_surfaces_have_no_pinholes(turned):
    sheet = piece(square(4.0) - array([2, 0, 0]), plain(array([1, 0, 0])), turn=about_z(turned) @ about_y(0.6))
    sun = light(towards=(0, 0.6, 0.8), sky=0.5)
    assert render([sheet], camera(zoom=1.0, perspective=0.1), sun, 200, reach=2.5).cover_HW.all()


def test_a_sheet_in_front_hides_what_is_behind_and_shades_it():
    red, green = plain(array([1, 0, 0]), mottle=0), plain(array([0, 1, 0]), mottle=0)
    floor = piece(square(2.0), green, shift=(-1, 0, 0), gloss=0)
    roof = piece(square(1.0), red, shift=(-1, 0, 0.8), gloss=0)
    # The sun is in front and to the left, so the roof on the left shades the floor to its right.
    sun = light(towards=(-0.6, 0.0, 0.8), sky=0.1)
    rgb = render([floor, roof], camera(zoom=0.9), sun, 100, reach=2.0).rgb_HW3
    roof_3, shaded_3, sunny_3 = rgb[50, 20], rgb[50, 65], rgb[50, 90]
    assert roof_3.argmax() == 0
    assert shaded_3.argmax() == sunny_3.argmax() == 1
    assert shaded_3[1] < 0.5 * sunny_3[1]
