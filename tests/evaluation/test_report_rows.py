from collections.abc import Callable

import numpy as np
import pytest

from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.pictures import Album
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions
from earthsnap_train.evaluation.report import ReportData, SplitCounts
from earthsnap_train.evaluation.report_rows import split_counts, worst_mistakes

MakeReport = Callable[..., ReportData]


def test_photographs_are_counted_by_species_and_split() -> None:
    counts = split_counts(["rose", "rose", "lily", "rose"], ["train", "test", "val", "train"])
    assert counts == {"lily": SplitCounts(train=0, val=1, test=0), "rose": SplitCounts(train=2, val=0, test=1)}


def test_every_species_has_a_row_the_weakest_first_and_the_untested_last(make_report: MakeReport) -> None:
    data = make_report(untested=2)
    recalls = [row.recall.value if row.recall else 2.0 for row in data.species]
    assert len(recalls) == 12
    assert recalls == sorted(recalls)
    assert [row.recall for row in data.species[-2:]] == [None, None]


def test_the_tree_nests_ranks_and_averages_the_recall_of_species(make_report: MakeReport) -> None:
    data = make_report()
    order = data.taxonomy[0]
    assert (order.rank, order.label, order.num_species) == ("order", "Ordo00", 4)
    assert [genus.num_species for genus in order.below] == [2, 2]
    recall = {row.name.species_id: row.recall.value for row in data.species if row.recall}
    leaves = [leaf.species_id or "" for leaf in order.leaves]
    assert leaves == ["g00-s00", "g00-s01", "g00-s02", "g00-s03"]
    assert order.recall == pytest.approx(sum(recall[leaf] for leaf in leaves) / 4)


def test_without_ranks_the_tree_shows_groups(make_report: MakeReport) -> None:
    assert next((top.rank, top.label) for top in make_report(with_ranks=False).taxonomy) == ("group", "group00")


def test_confused_pairs_count_both_directions_and_show_the_photographs(make_report: MakeReport) -> None:
    data = make_report()
    totals = [pair.first.num_mistaken + pair.second.num_mistaken for pair in data.confused]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > 0
    first = data.confused[0].first
    assert first.num_mistaken >= data.confused[0].second.num_mistaken
    assert len(first.mistaken) == min(first.num_mistaken, 4)
    assert first.portrait


def test_the_worst_mistakes_are_the_most_confident_and_say_their_cause(make_report: MakeReport) -> None:
    mistakes = make_report().mistakes
    assert len(mistakes) > 5
    assert [one.confidence for one in mistakes] == sorted((one.confidence for one in mistakes), reverse=True)
    for one in mistakes:
        assert one.predicted
        same_group = one.truth.species_id[:3] == one.predicted.species_id[:3]
        assert one.cause == ("misnamed" if same_group else "misrouted")


def test_one_confusion_does_not_fill_the_gallery() -> None:
    num = 6
    ids, roses = np.array(list("abcdef")), np.repeat("roses", num)
    named = np.array(["apple"] * 5 + ["lily"])
    predictions = FamilyPredictions(
        image_id=ids,
        uri=ids,
        cluster_id=ids,
        species_id=np.repeat("rose", num),
        group=roses,
        predicted_group=roses,
        answers=Answers(names=named[:, None], probability=np.linspace(0.9, 0.5, num)[:, None]),
        routed_group=roses,
        routed_probability=np.ones(num),
        oracle_species=named,
        num_children_run=np.ones(num, dtype=np.int32),
        flat=None,
    )
    names = {one: Name(species_id=one, scientific=one, common=None) for one in ("rose", "apple", "lily")}
    mistakes = worst_mistakes(predictions, names, {}, Album(lambda uri: None, budget_bytes=0))
    assert [(one.uri, one.predicted.label) for one in mistakes if one.predicted] == [
        ("a", "apple"),
        ("b", "apple"),
        ("f", "lily"),
    ]


def test_the_cover_shows_one_well_known_species_of_each_group(make_report: MakeReport) -> None:
    data = make_report()
    recall = {row.name.species_id: row.recall.value for row in data.species if row.recall}
    assert len({one.name.species_id[:3] for one in data.cover}) == len(data.cover) == 3
    for one in data.cover:
        rivals = [value for species, value in recall.items() if species[:3] == one.name.species_id[:3]]
        assert recall[one.name.species_id] == max(rivals)
