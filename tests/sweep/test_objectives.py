"""Which figures jobs are compared by, and which of them is best."""

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.sweep.objectives import best_of, check_objectives, figures_of
from tests.sweep.conftest import settings


def test_figures_of_the_family_of_the_flat_network_and_of_nodes_may_be_objectives() -> None:
    check_objectives({"family.top1": "maximize", "flat.ece": "minimize", "nodes.child/rosaceae.top5": "maximize"})


@pytest.mark.parametrize(
    ("typo", "near"),
    [
        ("family.top11", "family.top1"),
        ("famly.ece", "family.ece"),
        ("nodes.parent.topp1", "nodes.parent.top1"),
        ("nodes.child/roses.ecee", "nodes.child/roses.ece"),
    ],
)
def test_an_unknown_figure_is_refused_with_the_nearest(typo: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{near}'") as refused:
        check_objectives({typo: "maximize"})

    assert refused.value.where == "hydra.sweeper.objectives"
    assert "family.macro_recall" in refused.value.allowed


def test_no_sweep_turns_on_how_fast_a_machine_was() -> None:
    with pytest.raises(ConfigError):
        check_objectives({"family.latency_ms": "minimize"})


def test_without_objectives_it_is_the_familys_top1() -> None:
    assert settings().directions == {"family.top1": "maximize"}


def test_objectives_may_be_nested_as_dots_make_them() -> None:
    assert settings(objectives={"family": {"ece": "minimize"}}).directions == {"family.ece": "minimize"}


def test_figures_are_taken_by_dotted_name() -> None:
    summary = {"family": {"top1": 0.9}, "nodes": {"child/x": {"top1": 0.8}}}

    figures = figures_of(summary, {"nodes.child/x.top1": "maximize", "flat.top1": "maximize"})

    assert figures == {"nodes.child/x.top1": 0.8}


def test_the_best_of_one_objective_is_the_first_of_the_highest_or_lowest() -> None:
    figures = {1: {"x": 0.5}, 2: {"x": 0.9}, 3: {"x": 0.9}, 4: {"x": 0.1}}

    assert best_of(figures, {"x": "maximize"}) == [2]
    assert best_of(figures, {"x": "minimize"}) == [4]


def test_of_several_objectives_those_are_best_that_no_other_beats() -> None:
    figures = {1: {"x": 0.5, "y": 1.0}, 2: {"x": 0.9, "y": 3.0}, 3: {"x": 0.4, "y": 2.0}, 4: {"x": 0.9, "y": 3.0}}

    assert best_of(figures, {"x": "maximize", "y": "minimize"}) == [1, 2]


def test_where_nothing_is_done_nothing_is_best() -> None:
    assert best_of({}, {"x": "maximize"}) == []
