import pytest

from earthsnap_train.evaluation.family_panel import worth
from earthsnap_train.evaluation.figures import Estimate
from tests.evaluation.conftest import BUILD


@pytest.mark.parametrize(
    ("low", "value", "high", "words"),
    [
        (0.002, 0.012, 0.021,
         "Yes, for its names alone: it names more right than the flat network, beyond chance (+1.2 points, +0.2 to +2.1)."),
        (-0.003, 0.007, 0.016,
         "Not for its names: it and the flat network cannot be told apart on these photographs (+0.7 points, −0.3 to +1.6)."),
        (-0.021, -0.012, -0.002,
         "Not for its names: it names fewer right than the flat network, beyond chance (−1.2 points, −2.1 to −0.2)."),
    ],
)  # fmt: skip
def test_whether_a_family_is_worth_it_is_what_its_interval_beside_a_flat_network_says(
    low: float, value: float, high: float, words: str
) -> None:
    assert worth(Estimate(value=value, low=low, high=high)) == words


def test_it_says_what_the_parent_was_taught_and_whether_validation_chose_that() -> None:
    assert BUILD.parent_in_words == "The parent was taught every species."
    chosen = BUILD.model_copy(update={"targets": "groups", "chosen_among": ("species", "clusters", "groups")})
    assert chosen.parent_in_words == (
        "The parent was taught the groups: validation preferred that to every species and clusters of species that look alike."
    )


def test_it_says_how_a_photograph_is_routed() -> None:
    assert BUILD.routing_in_words == (
        "Routing is soft: the children of the likeliest groups are asked, at most 3, until these groups hold 98% of the "
        "probability; the parent has 50% of the say within a group."
    )
    hard = BUILD.routing.model_copy(update={"kind": "hard"})
    taught_groups = BUILD.model_copy(update={"routing": hard, "targets": "groups"})  # and has no say within one
    assert taught_groups.routing_in_words == "Routing is hard: the child of the likeliest group alone is asked."


def test_a_new_species_is_said_to_spare_other_children_only_where_it_does() -> None:
    spared = "leaves the other children as they are, byte for byte"
    assert spared in BUILD.new_species_in_words
    assert "seconds" not in BUILD.new_species_in_words
    frozen = BUILD.model_copy(update={"architecture": "shared_trunk"})
    assert f"the parent again, in seconds, and {spared}" in frozen.new_species_in_words
    taught = frozen.model_copy(update={"trunk_is_taught": True})
    assert spared not in taught.new_species_in_words
    assert "teaches the trunk again, and with it every child" in taught.new_species_in_words
