"""The loss by hand: of species, of the taxa above them, and with labels that the taxonomy has smoothed."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from earthsnap_train.training.lineages import Lineages
from earthsnap_train.training.loss import Loss
from tests.training.test_fit import teaching

LINEAGES: Lineages = [("rosaceae", "rosa"), ("rosaceae", "rosa"), ("rosaceae", "sorbus"), ("fagaceae", "quercus")]
P = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
LOGITS, LABELS = P.log() + 3.0, torch.tensor([0, 3])


def loss(labels: Tensor = LABELS, logits: Tensor = LOGITS, **changes: object) -> float:
    return Loss(teaching(**changes), LINEAGES)(logits, labels).item()


def test_with_all_options_off_it_is_plain_cross_entropy_to_the_last_bit() -> None:
    for smoothing in (0.0, 0.1):
        assert (
            loss(label_smoothing=smoothing)
            == functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing).item()
        )


def test_ranks_add_the_cross_entropy_of_taxa_whose_probability_is_their_species_sum() -> None:
    species = -(math.log(0.1) + math.log(0.1)) / 2
    families = -(math.log(0.6) + math.log(0.1)) / 2
    genera = -(math.log(0.3) + math.log(0.1)) / 2
    assert loss(rank_weight=0.5) == pytest.approx(species + 0.5 * (families + genera) / 2, rel=1e-5)


def test_a_mistake_within_the_genus_costs_less_than_one_outside_the_family() -> None:
    within, outside = (torch.eye(4)[[place]] * 5 for place in (1, 3))
    first = torch.tensor([0])
    assert loss(first, within) == pytest.approx(loss(first, outside))
    assert loss(first, within, rank_weight=1.0) < loss(first, outside, rank_weight=1.0) - 4


def test_smoothing_by_taxonomy_takes_what_it_is_told_and_gives_most_to_the_next_of_kin() -> None:
    taught = Loss(teaching(label_smoothing=0.12, label_smoothing_by="taxonomy"), LINEAGES).taught_CC
    assert taught is not None
    own, sister, cousin, stranger = taught[0].tolist()
    assert own == pytest.approx(0.88)
    assert [sister, cousin, stranger] == pytest.approx(
        [0.12 * (1 + 1 / 2 + 1 / 3) / 3, 0.12 * (1 / 2 + 1 / 3) / 3, 0.12 / 9]
    )
    assert loss(label_smoothing=0.12, label_smoothing_by="taxonomy") == pytest.approx(
        functional.cross_entropy(LOGITS, taught[LABELS]).item()
    )


def test_plain_smoothing_is_the_same_beside_ranks() -> None:
    beside = Loss(teaching(label_smoothing=0.1, rank_weight=1e-9), LINEAGES)(LOGITS, LABELS)
    assert beside.item() == pytest.approx(
        functional.cross_entropy(LOGITS, LABELS, label_smoothing=0.1).item(), rel=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [{"rank_weight": 0.7}, {"label_smoothing": 0.1, "label_smoothing_by": "taxonomy"}, {"label_smoothing": 0.1}],
    ids=str,
)
def test_mixed_labels_cost_the_mixture_of_what_each_costs(options: dict[str, object]) -> None:
    other = LABELS.flip(0)
    mixed_BC = 0.3 * functional.one_hot(LABELS, 4) + 0.7 * functional.one_hot(other, 4)
    apart = 0.3 * loss(LABELS, **options) + 0.7 * loss(other, **options)
    assert loss(mixed_BC, **options) == pytest.approx(apart, rel=1e-5)


def test_a_taxon_that_has_no_probability_left_costs_much_and_stays_a_number() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0, -200.0]], requires_grad=True)
    costs = Loss(teaching(rank_weight=1.0), LINEAGES)(logits, torch.tensor([3]))
    costs.backward()
    assert 100 < costs.item() < math.inf
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_does_not_blur_sums_of_probabilities() -> None:
    options = {"rank_weight": 1.0, "label_smoothing": 0.1, "label_smoothing_by": "taxonomy"}
    mixed_BC = functional.one_hot(LABELS, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blurred = loss(mixed_BC, **options)
    assert blurred == loss(mixed_BC, **options)


def test_it_adds_nothing_to_what_a_checkpoint_holds() -> None:
    assert Loss(teaching(rank_weight=1.0), LINEAGES).state_dict() == {}
