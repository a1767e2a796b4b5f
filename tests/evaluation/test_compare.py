"""What one release does better or worse than another, on photographs that are made up to say so."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.evaluation.compare import as_text, compare, one_line
from earthsnap_train.evaluation.compare_entry import Entry
from earthsnap_train.evaluation.compare_figures import Comparison, Judged, Side
from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.gates import judge_champion
from earthsnap_train.evaluation.metrics import expected_calibration_error, reliability
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions
from earthsnap_train.models.family import Family, Node
from earthsnap_train.spec.evaluation import Gate

NODE = Node(
    targets="species", classes=("?",), temperature=1.0, trunk="t", head="h", trunk_multiply_adds=1, head_multiply_adds=1
)
ROSE, OAK, LILY = "rosa-canina", "quercus-robur", "lilium-martagon"


def entry(
    release: str,
    rights: Mapping[str, Sequence[bool]] | None,
    *,
    group_of: Mapping[str, str] | None = None,
    plants: int = 1,
    first: int = 0,
    confidence: float = 0.9,
    **changes: Any,
) -> Entry:
    """``rights``: species -> whether each of its photographs was named right; ``plants``: photographs of one plant.

    ``first``: how many photographs of each species came before these.
    """
    group_of = group_of or dict.fromkeys(rights or {}, "plants")
    rows = [(s, at + first, right) for s, own in (rights or {}).items() for at, right in enumerate(own)]
    truth = np.array([s for s, _, _ in rows])
    named = np.array([s if right else "wrong" for s, _, right in rows])
    ids = np.array([f"{s}-{at:04d}" for s, at, _ in rows])
    predictions = FamilyPredictions(
        image_id=ids,
        uri=np.array([f"{one}.jpg" for one in ids]),
        cluster_id=np.array([f"{s}-plant-{at // plants}" for s, at, _ in rows]),
        species_id=truth,
        group=truth,
        predicted_group=named,
        answers=Answers(names=named[:, None], probability=np.full((len(rows), 1), confidence)),
        routed_group=named,
        routed_probability=np.ones(len(rows)),
        oracle_species=named,
        num_children_run=np.ones(len(rows), dtype=np.int32),
        flat=None,
    ) if rights else None  # fmt: skip
    side = Side(
        release=release, architecture="flat", num_species=len(group_of), num_groups=1, num_images=len(rows), top1=None,
        size_bytes=20_000_000, multiply_adds=4e8, latency_ms=12.0, taught_on_test=False,
    )  # fmt: skip
    family = Family(
        architecture="flat", nodes={"flat": NODE}, species=tuple(group_of), group_of=dict(group_of), routing=None,
        preprocessing=Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bicubic"),
    )  # fmt: skip
    names = {one: Name(species_id=one, scientific=one.replace("-", " "), common=None) for one in group_of}
    made: Any = {"side": side, "family": family, "names": names, "predictions": predictions, "ids_now": {}} | changes
    return Entry(**made)


def judged(comparison: Comparison) -> Judged:
    assert comparison.judged is not None
    return comparison.judged


def shares(num_right: int, num: int) -> list[bool]:
    return [at < num_right for at in range(num)]


def rose_lost() -> Comparison:
    """The roses fell from 26 to 15 of 28; the oaks stayed; one lily was won."""
    old = {ROSE: shares(26, 28), OAK: shares(20, 20), LILY: shares(18, 20)}
    new = {ROSE: shares(15, 28), OAK: shares(20, 20), LILY: shares(19, 20)}
    return compare(entry("plants-7", new), entry("plants-6", old))


def test_wins_and_losses_are_counted_on_the_same_photographs() -> None:
    found = judged(rose_lost())
    pairs = {one.name.species_id: one.pairs for one in found.species}
    assert (pairs[ROSE].both, pairs[ROSE].only_new, pairs[ROSE].only_old, pairs[ROSE].neither) == (15, 0, 11, 2)
    assert (pairs[LILY].both, pairs[LILY].only_new, pairs[LILY].only_old, pairs[LILY].neither) == (18, 1, 0, 1)
    assert (found.pairs.only_new, found.pairs.only_old, found.pairs.num_images) == (1, 11, 68)
    assert found.top1.minus.value == pytest.approx((1 - 11) / 68)
    assert found.macro_recall.minus.value == pytest.approx((-11 / 28 + 0 + 1 / 20) / 3)


def test_a_loss_is_worse_only_where_chance_does_not_explain_it() -> None:
    found = judged(rose_lost())
    assert [(one.name.species_id, one.verdict) for one in found.species] == [
        (ROSE, "worse"), (OAK, "same"), (LILY, "unclear")
    ]  # fmt: skip
    five_lost = compare(entry("plants-7", {ROSE: shares(0, 5)}), entry("plants-6", {ROSE: shares(5, 5)}))
    assert judged(five_lost).species[0].verdict == "unclear"


def test_what_is_better_one_way_is_worse_the_other_way() -> None:
    a, b = entry("a-1", {ROSE: shares(26, 28)}), entry("b-1", {ROSE: shares(15, 28)})
    there, back = judged(compare(a, b)), judged(compare(b, a))
    assert there.species[0].verdict == "better"
    assert back.species[0].verdict == "worse"
    assert there.top1.minus.value == -back.top1.minus.value
    assert there.top1.minus.low == pytest.approx(-back.top1.minus.high, abs=0.01)


def test_eleven_photographs_of_one_plant_are_one_piece_of_evidence() -> None:
    old, new = {ROSE: shares(26, 28)}, {ROSE: shares(15, 28)}
    one_plant = judged(compare(entry("plants-7", new, plants=28), entry("plants-6", old, plants=28)))
    assert one_plant.num_plants == 1
    assert one_plant.species[0].verdict == "unclear"
    assert (one_plant.species[0].recall.minus.low, one_plant.species[0].recall.minus.high) == (-1.0, 1.0)
    seven_each = judged(compare(entry("plants-7", new, plants=7), entry("plants-6", old, plants=7)))
    alone = judged(compare(entry("plants-7", new), entry("plants-6", old)))
    assert seven_each.top1.minus.high - seven_each.top1.minus.low > alone.top1.minus.high - alone.top1.minus.low


def test_photographs_that_only_one_was_judged_on_are_left_out_and_counted() -> None:
    new = entry("plants-7", {ROSE: shares(8, 10)})
    old = entry("plants-6", {ROSE: shares(10, 10)}, first=4)
    found = judged(compare(new, old))
    assert (found.pairs.num_images, found.num_only_new, found.num_only_old) == (6, 4, 4)


def test_a_corrected_label_counts_as_it_is_now_and_an_unknown_species_does_not() -> None:
    new = entry("plants-7", {ROSE: shares(6, 6), OAK: shares(6, 6)})
    assert new.predictions is not None
    relabelled = np.where(new.predictions.species_id == OAK, ROSE, new.predictions.species_id)
    old_predictions = FamilyPredictions(**{**vars(new.predictions), "species_id": relabelled})
    knows_both = entry("plants-6", {ROSE: [], OAK: []}, predictions=old_predictions)
    found = judged(compare(new, knows_both))
    assert (found.pairs.num_images, found.num_relabelled) == (12, 6)
    knows_roses = entry("plants-6", {ROSE: []}, predictions=old_predictions)
    found = judged(compare(new, knows_roses))
    assert (found.pairs.num_images, found.num_relabelled, found.num_only_new) == (6, 0, 6)


def merged(*, ids_now: Mapping[str, str]) -> Comparison:
    """Oaks have become roses. The old release took every other one for its fellow; lilies are as they were."""
    new = entry("plants-7", {ROSE: shares(20, 20), LILY: shares(6, 6)}, ids_now=ids_now)
    assert new.predictions is not None
    was = new.predictions.species_id.copy()
    was[10:20] = OAK
    named = np.where(was == LILY, LILY, np.where(np.arange(len(was)) % 2 == 0, was, np.where(was == OAK, ROSE, OAK)))
    both = np.stack([named, np.where(named == LILY, "", np.where(named == OAK, ROSE, OAK))], axis=1)
    answers = Answers(names=both, probability=np.where(both == "", 0.0, [[0.6, 0.3]]))
    predictions = FamilyPredictions(**{**vars(new.predictions), "species_id": was, "answers": answers})
    return compare(new, entry("plants-6", {ROSE: [], OAK: [], LILY: []}, predictions=predictions))


def test_of_merged_species_the_old_release_may_name_any() -> None:
    found = judged(merged(ids_now={OAK: ROSE}))
    assert (found.pairs.both, found.pairs.only_new, found.pairs.only_old, found.pairs.neither) == (26, 0, 0, 0)
    assert [one.verdict for one in found.species] == ["same", "same"]
    assert (found.top1.minus.value, found.num_relabelled, found.num_untold) == (0.0, 0, 0)
    right = np.where(np.arange(26) < 20, 0.6 + 0.3, 0.6)  # as likely as the two together
    assert found.ece.old == pytest.approx(1 - right.mean())


def test_a_merged_species_under_a_new_id_is_known_to_a_release_that_knew_its_parts() -> None:
    new = entry("plants-7", {"rosa-nova": shares(5, 6)}, ids_now={ROSE: "rosa-nova", OAK: "rosa-nova"})
    assert new.predictions is not None
    was = np.where(np.arange(6) < 3, ROSE, OAK)
    answers = Answers(names=was[::-1, None], probability=np.full((6, 1), 0.9))
    predictions = FamilyPredictions(**{**vars(new.predictions), "species_id": was, "answers": answers})
    found = judged(compare(new, entry("plants-6", {ROSE: [], OAK: []}, predictions=predictions)))
    assert (found.pairs.both, found.pairs.only_old) == (5, 1)


def test_species_that_took_in_one_that_is_gone_are_left_out_where_nothing_says_that_they_are_one() -> None:
    comparison = merged(ids_now={})
    found = judged(comparison)
    assert [one.name.species_id for one in found.species] == [LILY]
    assert (found.pairs.both, found.pairs.num_images) == (6, 6)
    assert (found.num_untold, found.num_only_new, found.num_only_old) == (20, 0, 0)
    assert "(20 of species that took in one that is gone are left out)" in as_text(comparison)


def test_species_come_go_change_name_and_move() -> None:
    old = entry("plants-6", {ROSE: shares(5, 6)}, group_of={ROSE: "roses", OAK: "trees"})
    new = entry("plants-7", {ROSE: shares(5, 6)}, group_of={ROSE: "shrubs", LILY: "lilies"})
    new.names[ROSE] = Name(species_id=ROSE, scientific="Rosa rugosa", common=None)  # type: ignore[index]
    found = compare(new, old)
    assert [name.species_id for name in found.added] == [LILY]
    assert [name.species_id for name in found.removed] == [OAK]
    assert [(one.name.species_id, one.was) for one in found.renamed] == [(ROSE, "rosa canina")]
    assert [(one.name.species_id, one.was, one.now) for one in found.regrouped] == [(ROSE, "roses", "shrubs")]
    assert one_line(found).endswith("1 added, 1 removed, 1 renamed, 1 regrouped")


def test_calibration_is_compared_as_it_is_measured() -> None:
    new, old = entry("plants-7", {ROSE: shares(9, 20)}), entry("plants-6", {ROSE: shares(16, 20)}, confidence=0.8)
    found = judged(compare(new, old))
    for side, pair in ((new, found.ece.new), (old, found.ece.old)):
        assert side.predictions is not None
        hits = side.predictions.predicted_species == side.predictions.species_id
        assert pair == pytest.approx(expected_calibration_error(reliability(side.predictions.answers.confidence, hits)))


def test_intervals_contain_what_is_true_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(3)
    contained = []
    for _ in range(120):
        old, won = generator.random((3, 30)) < 0.8, generator.random((3, 30)) < 0.1
        lost = generator.random((3, 30)) < 0.1
        new = np.where(old, ~lost, won)  # the truth: 0.2 * 0.1 - 0.8 * 0.1
        sides = [dict(zip((ROSE, OAK, LILY), right.tolist(), strict=True)) for right in (new, old)]
        found = judged(compare(entry("a-2", sides[0]), entry("a-1", sides[1])))
        contained += [[one.minus.low <= -0.06 <= one.minus.high for one in (found.top1, found.macro_recall)]]
    assert 0.89 <= np.mean(contained) <= 0.99


def test_equal_predictions_give_equal_comparisons_whatever_their_order() -> None:
    old, new = {ROSE: shares(26, 28), OAK: shares(20, 20)}, {ROSE: shares(15, 28), OAK: shares(19, 20)}
    turned = [dict(reversed(one.items())) for one in (new, old)]
    one, other = (compare(entry("a-2", a), entry("a-1", b)) for a, b in ((new, old), turned))
    assert one == other
    assert Comparison.model_validate_json(one.model_dump_json()) == one


def test_lost_photographs_of_worse_species_come_first_and_a_few_of_each(noisy_photo: Callable[..., bytes]) -> None:
    old, new = {ROSE: shares(28, 28), OAK: shares(20, 20)}, {ROSE: shares(15, 28), OAK: shares(18, 20)}
    found = judged(compare(entry("plants-7", new), entry("plants-6", old), read_photo=noisy_photo))
    assert [one.truth.species_id for one in found.lost] == [ROSE] * 3 + [OAK] * 2
    assert found.lost[0].image_id == "rosa-canina-0015"
    assert all((one.picture or "").startswith("data:image/webp;base64,") for one in found.lost)
    unseen = judged(compare(entry("plants-7", new), entry("plants-6", old)))
    assert [one.picture for one in unseen.lost] == [None] * 5


# ---- without common photographs


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        (
            entry("p-7", {ROSE: [True]}),
            entry("p-6", None, group_of={ROSE: "x"}),
            "p-6 was registered before predictions",
        ),
        (
            entry("p-7", {ROSE: [True]}),
            entry("p-6", {ROSE: [True]}, first=1),
            "no photograph of a species that both know",
        ),
        (entry("p-7", {ROSE: [True]}), entry("p-6", {OAK: [True]}), "no photograph of a species that both know"),
    ],
)
def test_without_a_common_photograph_names_and_costs_are_compared_and_it_is_said_why(
    new: Entry, old: Entry, why: str
) -> None:
    found = compare(new, old)
    assert found.judged is None
    assert found.not_judged.startswith(why)
    assert found.figures() == {"size_ratio": 1.0, "multiply_adds_ratio": 1.0}
    assert one_line(found).startswith(f"p-6: {why}")
    assert judge_champion(found, {"champion.top1": Gate(min=0.0), "champion.worst_species": Gate(min=0.0)}) == ()
    assert why in as_text(found)


# ---- gates


def test_a_failed_gate_names_the_species_with_its_figures() -> None:
    (gate,) = judge_champion(rose_lost(), {"champion.worst_species": Gate(min=-0.2)})
    assert not gate.passed
    assert gate.reason.startswith(
        "beside plants-6: rosa-canina: recall 0.93 -> 0.54 on 28 photographs (-0.39, 95 % -0.5"
    )
    assert gate.reason.endswith("; champion.worst_species is only -0.3929; at least -0.2 is required")


def test_a_gate_on_species_that_got_worse_names_the_worst() -> None:
    (gate,) = judge_champion(rose_lost(), {"champion.num_worse": Gate(max=0)})
    assert not gate.passed
    assert gate.reason.startswith("beside plants-6: rosa-canina: recall 0.93 -> 0.54 on 28 photographs")
    assert gate.reason.endswith("; champion.num_worse is as high as 1; at most 0 is required")


def test_a_gate_that_no_species_fails_names_the_hardest_hit_all_the_same() -> None:
    within_chance = compare(entry("plants-7", {ROSE: shares(3, 7)}), entry("plants-6", {ROSE: shares(6, 7)}))
    (gate,) = judge_champion(within_chance, {"champion.num_worse": Gate(max=0)})
    assert gate.passed
    assert gate.words.startswith("hardest hit: rosa-canina: recall 0.86 -> 0.43 on 7 photographs")
    none_lost = compare(entry("plants-7", {ROSE: shares(6, 7)}), entry("plants-6", {ROSE: shares(6, 7)}))
    assert [one.words for one in judge_champion(none_lost, {"champion.num_worse": Gate(max=0)})] == [""]


def test_a_loss_within_chance_or_within_its_bound_passes() -> None:
    within_chance = compare(entry("plants-7", {ROSE: shares(3, 7)}), entry("plants-6", {ROSE: shares(6, 7)}))
    within_bound = rose_lost()
    assert all(gate.passed for gate in judge_champion(within_chance, {"champion.worst_species": Gate(min=-0.2)}))
    assert all(gate.passed for gate in judge_champion(within_bound, {"champion.worst_species": Gate(min=-0.4)}))


def test_a_loss_of_the_whole_family_fails_only_where_it_is_sure() -> None:
    gates = {"champion.top1_high": Gate(min=-0.01)}
    (sure,) = judge_champion(rose_lost(), gates)
    assert not sure.passed
    assert sure.reason.startswith("beside plants-6: top1 0.941 -> 0.794 on 68 photographs (-0.15, 95 % ")
    (unsure,) = judge_champion(compare(entry("p-7", {ROSE: shares(8, 10)}), entry("p-6", {ROSE: shares(9, 10)})), gates)
    assert unsure.value > -0.01
    assert unsure.passed


def test_every_figure_of_a_comparison_has_a_name_that_was_known_beforehand() -> None:
    assert tuple(rose_lost().figures()) == Comparison.figure_names()


# ---- words


def test_the_whole_fits_in_one_line() -> None:
    line = one_line(rose_lost())
    assert line.startswith("plants-6: top-1 −14.7 pp (−")
    assert line.endswith(", 1 species worse, none better")


def test_a_terminal_gets_figures_side_by_side_and_the_species_that_changed() -> None:
    text = as_text(rose_lost())
    assert text.startswith("plants-7 beside plants-6, on 68 photographs that both were judged on\n")
    assert "  worse   rosa-canina: recall 0.93 -> 0.54 on 28 photographs" in text
    assert re.search(r"\nsize +20\.0 MB +20\.0 MB\n", text)


def test_the_summary_is_plain_json_with_species_by_id() -> None:
    summary = rose_lost().summary()
    assert summary["release"] == "plants-6"
    assert summary["worse"] == [ROSE]
    assert summary["better"] == []
    assert summary["num_images"] == 68
