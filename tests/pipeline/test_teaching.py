"""Which searches a declaration comes to, and what is said where a node cannot use what is sought for it."""

from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.resolve import resolve
from earthsnap_train.pipeline.run import check_disk
from tests.pipeline.conftest import Garden

LR = "{kind: choice, of: [0.1]}"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """Two groups; only to be planned."""
    garden = Garden(tmp_path_factory.mktemp("planned"))
    garden.grow({"rosa/canina": 4, "rosa/rugosa": 4, "acer/rubrum": 4, "acer/opalus": 4})
    return garden


def tunes(plan: Plan) -> dict[str, str]:
    return {node: plan.stage(f"train/{node}").inputs.get("tune", "none") for node in plan.nodes}


def test_children_share_a_search_and_the_probe_has_none(planned: Garden) -> None:
    plan = planned.plan("tuning=quick").plan

    assert tunes(plan) == {
        "parent": "tune/parent", "child/acer": "tune/child", "child/rosa": "tune/child", "flat": "none",
    }  # fmt: skip
    assert {"examples/acer", "examples/rosa", "embed/acer", "embed/rosa"} == set(plan.stage("tune/child").inputs)


def test_each_node_may_have_its_own_search_and_a_whole_flat_network_too(planned: Garden) -> None:
    plan = planned.plan("tuning=thorough", "evaluation.flat=full").plan

    assert tunes(plan) == {node: f"tune/{node}" for node in plan.nodes}


def test_without_a_search_nothing_of_a_plan_is_different(planned: Garden) -> None:
    plan = planned.plan("tuning=none").plan

    assert set(tunes(plan).values()) == {"none"}
    assert not [stage for stage in plan.stages if stage.kind == "tune"]


def test_a_parent_and_an_equal_flat_network_are_one_search(planned: Garden) -> None:
    plan = planned.plan("tuning=thorough", "evaluation.flat=full").plan

    assert plan.stage("tune/parent").settings == plan.stage("tune/flat").settings
    assert plan.stage("tune/parent").inputs.keys() == plan.stage("tune/flat").inputs.keys()


def test_what_is_taught_again_on_more_is_taught_with_the_same_settings(planned: Garden) -> None:
    space = "tuning.space.early_stopping_patience={kind: choice, of: [3]}"
    plan = planned.plan("tuning=quick", "training.fit_on=full", space).plan

    assert plan.stage("refit/child/rosa").inputs["tune"] == "tune/child"
    # A search may find that one has to stop early: then the epochs of the first teaching count.
    assert plan.stage("refit/child/rosa").inputs["taught"] == "train/child/rosa"


def test_a_search_reads_no_test_photograph_and_no_manifest(planned: Garden) -> None:
    for stage in planned.plan("tuning=quick", "training=head_then_full").plan.stages:
        if stage.kind == "tune":
            assert {name.partition("/")[0] for name in stage.inputs} == {"examples", "embed", "records", "trunk"}
            assert not stage.sources


def test_a_search_looks_at_its_part_of_the_photographs_in_every_trial(planned: Garden) -> None:
    whole = planned.plan("tuning=quick", "tuning.subset=null").plan.stage("tune/parent").num_images
    part = planned.plan("tuning=quick", "tuning.subset=1", "tuning.num_trials=5").plan.stage("tune/parent").num_images

    assert (whole, part) == (12 * 16, 5 * 4 * 2)


def test_a_grid_has_no_more_trials_than_combinations(planned: Garden) -> None:
    grid = [
        "tuning.sampler=grid",
        "~tuning.space.lr",
        "tuning.space.lr={kind: choice, of: [0.1, 0.2]}",
        "tuning.space.num_epochs={kind: int, low: 1, high: 2}",
        "tuning.space.weight_decay=null",
        "tuning.subset=null",
    ]

    assert planned.plan("tuning=quick", *grid).plan.stage("tune/parent").num_images == 4 * 16


def test_a_search_needs_no_disk_for_looking_again(planned: Garden) -> None:
    typed = ("tuning=quick", "tuning.num_trials=1000000000", "tuning.subset=null")

    check_disk(planned.spec(*typed), planned.plan(*typed), planned.store)


def test_a_search_that_never_ran_is_estimated_by_how_long_teaching_takes(garden: Garden) -> None:
    prepared = garden.plan("tuning=quick", "tuning.num_trials=4", "tuning.subset=null")
    states = resolve(prepared.plan, garden.store)

    # Half a second a photograph, as this garden says of everything.
    assert states["tune/parent"].seconds == pytest.approx(0.5 * 4 * prepared.plan.stage("train/parent").num_images)


@pytest.mark.parametrize(
    ("typed", "where", "said"),
    [
        (["tuning.space.learning_rate=" + LR], "tuning.space.learning_rate", "no such key is searched"),
        (["tuning.space.wieght_decay=" + LR], "tuning.space.wieght_decay", "Did you mean 'weight_decay'?"),
        (["tuning.space.lrs=" + LR], "tuning.space.lrs", "Did you mean 'lr'?"),
        (["tuning.space.method={kind: choice, of: [full]}"], "tuning.space.method", "no such key is searched"),
        (["tuning.space.head_first.lr=" + LR], "tuning.space.head_first.lr", "does not use it, for its method is head"),
        (["tuning.space.augmentation.scale_min=" + LR, "training=full"], "", ""),
        (
            ["training=full", "tuning.space.augmentation.colour_jitter.hue=" + LR, "training.augmentation.colour_jitter=null"],
            "tuning.space.augmentation.colour_jitter.hue", "augmentation.colour_jitter is null for parent",
        ),
        (["tuning.space.batch_size={kind: choice, of: [0]}"], "tuning.space.batch_size", "training.batch_size cannot be 0"),
        (["tuning.space.batch_size={kind: float, low: 2, high: 8}"], "tuning.space.batch_size", "cannot be 4.2"),
        (["tuning.space.imbalance={kind: choice, of: [some]}"], "tuning.space.imbalance", "cannot be 'some'"),
        (["tuning.space.label_smoothing={kind: float, low: 0, high: 1}"], "tuning.space.label_smoothing", "less than 1"),
        (["tuning.space.rank_weight=" + LR], "tuning.space.rank_weight", "parent does not use it, for its method is head"),
        (["tuning.space.rank_weight=" + LR, "training=full"], "", ""),
        (["tuning.space.augmentation.mixup={kind: choice, of: [null, 0.2]}", "training=full"], "", ""),
        (
            ["tuning.space.rank_weight=" + LR, "training=full", "architecture.parent.targets=groups"],
            "tuning.space.rank_weight", "parent does not use it, for its classes have no higher ranks",
        ),
        (["tuning.nodes.parnet.lr=" + LR], "tuning.nodes.parnet", "Did you mean 'parent'?"),
        (["tuning.nodes.child.head_first.lr=" + LR], "tuning.nodes.child.head_first.lr", "child/acer does not use it"),
        (["tuning.nodes.child/rosa.lr=" + LR], "tuning.nodes.child/rosa", "tuning.per=node"),
        (["tuning.space.weight_decay=null", "tuning.space.lr=null"], "tuning.space", "nothing to search"),
        (["tuning.sampler=grid"], "tuning.space.lr.kind", "values that can be counted"),
        (
            ["tuning.sampler=grid", "~tuning.space.lr", "tuning.space.weight_decay=null",
             "tuning.space.num_epochs={kind: int, low: 1, high: 2, when: {lr: [0.1]}}", "tuning.space.lr=" + LR],
            "tuning.space.num_epochs.when", "no conditions",
        ),
        (["tuning.space.lr.when={imblance: [none]}"], "tuning.space.lr.when.imblance", "no such key is searched"),
        (["tuning.space.lr.when={weight_decay: [7]}"], "tuning.space.lr.when.weight_decay", "7 is never tried"),
        (
            ["tuning.space.lr.when={weight_decay: [0.1]}", "tuning.space.weight_decay.when={lr: [0.01]}"],
            "tuning.space", "lead in a circle",
        ),
    ],
)  # fmt: skip
def test_what_a_node_cannot_use_is_refused_by_its_key(planned: Garden, typed: list[str], where: str, said: str) -> None:
    if not where:
        planned.plan("tuning=quick", *typed)
        return
    with pytest.raises(ConfigError) as raised:
        planned.plan("tuning=quick", *typed)

    assert raised.value.where == where
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("option", "off"),
    [
        ("rank_weight=0.5", "0.0"), ("label_smoothing_by=taxonomy", "class"),
        ("augmentation.mixup=0.2", "null"), ("augmentation.cutmix=1.0", "null"),
    ],
)  # fmt: skip
def test_options_of_whole_networks_are_refused_for_heads(planned: Garden, option: str, off: str) -> None:
    with pytest.raises(ConfigError) as raised:
        planned.plan("training=head", f"training.{option}")

    key = f"training.{option.partition('=')[0]}"
    assert str(raised.value).splitlines() == [
        f"{key}: it belongs to whole networks, and parent is a head alone",
        f"  allowed: {off} where the method is head",
        f"  remedy:  training=head_then_full, or {key}={off}",
    ]


def test_a_shared_trunk_has_them_where_it_is_taught_and_refuses_them_where_it_is_not(planned: Garden) -> None:
    shared = ("architecture=shared_trunk", "training.rank_weight=0.5")
    plan = planned.plan(*shared, "training=full").plan

    assert plan.stage("train/trunk").settings["lineages"] == [["acer"], ["acer"], ["rosa"], ["rosa"]]
    with pytest.raises(ConfigError, match=r"training\.rank_weight: it belongs to whole networks"):
        planned.plan(*shared, "training=head")


def test_an_option_that_one_node_was_given_is_refused_there(planned: Garden) -> None:
    with pytest.raises(ConfigError) as raised:
        planned.plan("training=full", "+nodes.child={method: head, rank_weight: 0.5}")

    assert raised.value.where == "nodes.child.rank_weight"
    assert "nodes.child.rank_weight=0.0" in raised.value.remedy


def test_a_loss_of_ranks_is_refused_where_there_are_none(planned: Garden) -> None:
    bare = ("dataset.source.ranks=[]", f"dataset.source.root={planned.photographs / 'rosa'}", "architecture=flat")
    for option in ("rank_weight=0.5", "label_smoothing_by=taxonomy"):
        with pytest.raises(ConfigError) as raised:
            planned.plan("training=full", *bare, f"training.{option}")

        assert raised.value.where == f"training.{option.partition('=')[0]}"
        assert "the species have no higher ranks" in str(raised.value)
        assert "dataset.source.ranks=[" in raised.value.remedy


def test_a_nearest_species_is_refused_where_all_are_equally_far(planned: Garden) -> None:
    asked = ("architecture=flat", "architecture.named_first=least_expected_distance")
    planned.plan(*asked)
    with pytest.raises(ConfigError) as raised:
        planned.plan(*asked, "dataset.source.ranks=[]", f"dataset.source.root={planned.photographs / 'rosa'}")
    assert str(raised.value).splitlines() == [
        "architecture.named_first: the species have no higher ranks",
        "  allowed: likeliest without ranks",
        "  remedy:  name the ranks that the photographs' folders or table have: dataset.source.ranks=[order,family,genus]",
    ]


def test_lineages_are_given_to_those_alone_whose_loss_asks_for_them(planned: Garden) -> None:
    plain = planned.plan("training=full").plan
    asking = planned.plan("training=full", "training.rank_weight=0.5").plan
    mixing = planned.plan("training=full", "training.augmentation.mixup=0.2").plan

    assert not [stage.name for stage in [*plain.stages, *mixing.stages] if "lineages" in stage.settings]
    assert asking.stage("train/child/rosa").settings["lineages"] == [["rosa"], ["rosa"]]
    assert asking.stage("train/parent").settings["lineages"] == [["acer"], ["acer"], ["rosa"], ["rosa"]]
    assert "lineages" not in asking.stage("train/flat").settings  # the probe beside the family is a plain head
    assert asking.stage("train/flat").settings == plain.stage("train/flat").settings


def test_a_parent_taught_groups_is_taught_as_without_ranks(planned: Garden) -> None:
    groups = ("training=full", "architecture.parent.targets=groups")
    asking = planned.plan(*groups, "training.rank_weight=0.5", "training.label_smoothing_by=taxonomy").plan

    assert asking.stage("train/parent").settings == planned.plan(*groups).plan.stage("train/parent").settings
    assert "lineages" in asking.stage("train/child/rosa").settings


def test_a_search_for_a_loss_of_ranks_is_given_lineages_too(planned: Garden) -> None:
    weight = "tuning.space.rank_weight={kind: float, low: 0, high: 1}"
    plan = planned.plan("training=full", "tuning=quick", weight).plan

    members = plan.stage("tune/child").settings["members"]
    assert members["rosa"]["lineages"] == [["rosa"], ["rosa"]]  # type: ignore[index, call-overload]
    assert plan.stage("train/child/rosa").settings["lineages"] == [["rosa"], ["rosa"]]


def test_planning_imports_no_optuna(tmp_path: Path) -> None:
    from tests.test_startup import imported

    modules = imported("plan", "+experiment=plants", "architecture=parent_child", "tuning=thorough", cwd=tmp_path)

    assert not {name.partition(".")[0] for name in modules} & {"optuna", "torch", "sqlalchemy"}
