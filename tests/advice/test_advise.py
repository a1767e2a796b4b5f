"""The stage that draws advice, on a family that is there in memory, and the best of what it proposes."""

import json
from collections.abc import Callable
from functools import cache

import pytest

from earthsnap_train.advice.advise import Settings, advise, recommended
from earthsnap_train.advice.figures import Advice
from earthsnap_train.context import Context
from earthsnap_train.pipeline.advised import STAGE, advice_plan
from earthsnap_train.spec.job import Advise
from earthsnap_train.taxonomy.tree import Taxonomy
from earthsnap_train.training.logistic import Lesson
from tests.advice.conftest import ROUTING, SPECIES, Draw
from tests.conftest import TINY_FLORA, Tiny

JOB = Advise(verb="advise", out="x", num_groups=None, min_species=2, max_species=50, num_folds=3)


def settings(lesson: Lesson, **changes: object) -> Settings:
    usual = {
        "family": "made-up", "groups": {"a": list(SPECIES[:4]), "b": list(SPECIES[4:])}, "num_looks": 1,
        "targets": "species", "species_per_cluster": 2, "routing": ROUTING, "lesson": lesson,
        "limits": {"min_species": 2, "max_species": 8, "num_groups": 3}, "num_folds": 4, "seed": 0,
    }  # fmt: skip
    return Settings.model_validate(usual | changes)


Drawn = Callable[..., Advice]


@pytest.fixture(scope="module")
def draws(draw: Draw, taxonomy: Taxonomy, lesson: Lesson, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Advice by what the parents are taught; each is drawn once."""
    material = draw(num_each=14, num_folds=2)
    context = Context(scratch=tmp_path_factory.mktemp("scratch"))
    uris = [f"{one}.jpg" for one in material.image_ids]
    return cache(lambda targets: advise(settings(lesson, targets=targets), material, uris, taxonomy, context))


@pytest.fixture(scope="module")
def drawn(draws: Drawn) -> Advice:
    return draws("species")


def test_one_is_marked_and_the_most_right_come_first(drawn: Advice) -> None:
    top1s = [one.top1.value for one in drawn.groupings]

    assert sum(one.is_best for one in drawn.groupings) == 1
    assert top1s == sorted(top1s, reverse=True)


def test_recommended_is_the_most_stable_and_of_equally_stable_ones_the_cheapest_to_change(advice: Advice) -> None:
    one, _ = advice.groupings
    stable = one.model_copy(update={"name": "stable", "stability": 1.0, "child_share": 0.5})
    nearly = one.model_copy(update={"name": "nearly", "stability": 0.97, "child_share": 0.4})
    vague = one.model_copy(update={"name": "vague", "stability": 0.5, "child_share": 0.1})

    assert recommended([stable, vague]) is stable
    assert recommended([stable, nearly, vague]) is nearly


def test_figures_of_a_grouping_agree_with_one_another(drawn: Advice) -> None:
    assert {species for one in drawn.groupings for members in one.groups.values() for species in members} == set(
        SPECIES
    )
    for one in drawn.groupings:
        assert sum(map(len, one.groups.values())) == len(SPECIES)
        assert one.top1.low <= one.top1.value <= one.top1.high
        assert one.minus_flat.value == pytest.approx(one.top1.value - drawn.flat.value)
        assert one.multiply_adds > drawn.flat_multiply_adds  # a family asks its parent, and children besides


@pytest.mark.parametrize("targets", ["groups", "clusters"])
def test_parents_that_are_taught_less_than_species_are_judged_as_such(targets: str, draws: Drawn) -> None:
    taught_all, taught_less = (
        next(one for one in draws(taught).groupings if one.name == "by-look-3") for taught in ("species", targets)
    )

    assert taught_less.routing.value > 0.95
    assert taught_less.multiply_adds < taught_all.multiply_adds


def test_a_plan_s_photographs_are_enough_to_draw_advice_from(tiny: Callable[..., Tiny]) -> None:
    one = tiny("architecture=shared_trunk")
    plan = advice_plan(one.spec, JOB, one.plan)
    family = Tiny(one.spec, plan, one.root, one.places, one.done)
    found = Advice.model_validate_json((family.out(STAGE) / "advice.json").read_bytes())

    assert {stage.kind for stage in plan.stages} == {
        "ingest", "select", "records", "trunk", "embed", "embed_originals", "advise",
    }  # fmt: skip
    manifest = json.loads((family.out("ingest") / "manifest.json").read_text())
    assert found.num_images == sum(manifest["num_images_by_split"][split] for split in ("train", "val"))
    assert [one.groups for one in found.groupings if one.is_declared] == [
        {group: tuple(sorted(members)) for group, members in TINY_FLORA.items()}
    ]
    assert all(pair.first_portrait and pair.second_portrait for pair in found.pairs)
    assert all(one.picture for one in found.suspects)
