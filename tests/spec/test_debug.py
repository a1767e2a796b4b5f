"""``debug=true`` makes any declaration small, and leaves what it is otherwise."""

import pytest

from earthsnap_train.spec.dataset import SyntheticFlora
from earthsnap_train.spec.tuning import Search
from tests.conftest import declare


def test_a_flora_is_small() -> None:
    source = declare("experiment=plants", "debug=true").dataset.source

    assert isinstance(source, SyntheticFlora)
    assert source.num_species * source.plants_per_species * source.photos_per_plant <= 150
    assert source.image_px <= 96


@pytest.mark.parametrize("training", ["head", "full", "head_then_full"])
def test_teaching_is_brief_and_of_the_same_kind(training: str) -> None:
    spec = declare("experiment=plants", f"training={training}", "debug=true")

    assert (spec.training.method, spec.training.num_epochs, spec.training.head_first.num_epochs) == (training, 1, 1)


def test_a_folder_is_taken_in_part() -> None:
    spec = declare("name=mine", "dataset=folder", "dataset.source.root=x", "debug=true")

    assert spec.dataset.limit.species is not None
    assert spec.dataset.limit.photos_per_species is not None
    assert spec.dataset.source == declare("name=mine", "dataset=folder", "dataset.source.root=x").dataset.source


def test_it_has_a_name_of_its_own_so_that_it_is_never_taken_for_the_real_one() -> None:
    assert declare("experiment=plants", "debug=true").name == "plants-debug"


def test_nodes_keep_their_own_settings_but_not_their_length() -> None:
    nodes = declare(
        "experiment=plants", "debug=true", "nodes.parent.lr=0.5", "nodes.child.num_epochs=90", "nodes.child/roses.lr=1"
    ).nodes

    assert nodes == {"parent": {"lr": 0.5}, "child": {"num_epochs": 1}}


def test_a_search_is_brief_and_of_the_same_kind() -> None:
    typed = (
        "experiment=plants",
        "architecture=parent_child",
        "tuning=thorough",
        "tuning.nodes.child/roses.lr={kind: choice, of: [0.1]}",
    )
    whole, small = declare(*typed).tuning, declare(*typed, "debug=true").tuning

    assert isinstance(whole, Search)
    assert small == whole.model_copy(update={"num_trials": 2, "nodes": {}})


def test_gates_are_open() -> None:
    assert declare("experiment=plants", "debug=true").evaluation.gates == {}
