from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.errors import IntegrityError
from earthsnap_train.evaluation.predictions import NODE_SCHEMA, Answers, FamilyPredictions, NodePredictions

GOLDEN = Path(__file__).parent / "golden"


def node_predictions() -> NodePredictions:
    return NodePredictions(
        image_id=np.array(["c", "a", "b"]),
        uri=np.array(["rosa/3.jpg", "rosa/1.jpg", "malus/2.jpg"]),
        truth=np.array(["rosa", "rosa", "malus"]),
        answers=Answers.from_probabilities(["malus", "rosa"], [[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]]),
    )


def family_predictions(flat: Answers | None) -> FamilyPredictions:
    return FamilyPredictions(
        image_id=np.array(["b", "a"]),
        uri=np.array(["2.jpg", "1.jpg"]),
        cluster_id=np.array(["plant-2", "plant-1"]),
        species_id=np.array(["rosa", "malus"]),
        group=np.array(["roses", "apples"]),
        predicted_group=np.array(["roses", "roses"]),
        answers=Answers.from_probabilities(["malus", "rosa"], [[0.25, 0.75], [0.375, 0.625]]),
        routed_group=np.array(["roses", "apples"]),
        routed_probability=np.array([0.75, 0.5]),
        oracle_species=np.array(["rosa", "malus"]),
        num_children_run=np.array([1, 2], dtype=np.int32),
        flat=flat,
    )


def test_answers_are_the_best_five_and_the_earlier_class_wins_a_tie() -> None:
    answers = Answers.from_probabilities(list("abcdefg"), [[0.1, 0.2, 0.3, 0.1, 0.2, 0.05, 0.05]])
    assert answers.names.tolist() == [["c", "b", "e", "a", "d"]]
    assert answers.confidence.tolist() == pytest.approx([0.3])


def test_a_class_of_probability_zero_is_no_answer() -> None:
    answers = Answers.from_probabilities(["a", "b", "c"], [[0.0, 1.0, 0.0]])
    assert answers.names.tolist() == [["b", "", ""]]
    assert not answers.contain(np.array(["a"])).any()


def test_node_predictions_come_back_sorted_by_image(tmp_path: Path) -> None:
    node_predictions().write(tmp_path / "node.parquet")
    again = NodePredictions.read(tmp_path / "node.parquet")
    assert again.image_id.tolist() == ["a", "b", "c"]
    assert again.truth.tolist() == ["rosa", "malus", "rosa"]
    assert again.answers.names.tolist() == [["malus", "rosa"], ["malus", ""], ["rosa", "malus"]]
    assert again.answers.probability.tolist() == [[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]]


def test_answers_are_found_by_photograph_whatever_the_order() -> None:
    predictions = node_predictions()
    assert predictions.answers_for(np.array(["b", "c"])).first.tolist() == ["malus", "rosa"]
    with pytest.raises(IntegrityError, match="1 photographs were not evaluated, the first of them d"):
        predictions.answers_for(np.array(["b", "d"]))


@pytest.mark.parametrize("flat", [None, Answers.from_probabilities(["malus", "rosa"], [[0.5, 0.5], [0.0, 1.0]])])
def test_family_predictions_come_back_with_and_without_a_flat_baseline(tmp_path: Path, flat: Answers | None) -> None:
    family_predictions(flat).write(tmp_path / "family.parquet")
    again = FamilyPredictions.read(tmp_path / "family.parquet")
    assert again.species_id.tolist() == ["malus", "rosa"]
    assert again.predicted_species.tolist() == ["rosa", "rosa"]
    assert again.num_children_run.tolist() == [2, 1]
    assert again.routed_probability.tolist() == [0.5, 0.75]
    if flat is None:
        assert again.flat is None
    else:
        assert again.flat is not None
        assert again.flat.names.tolist() == [["rosa", ""], ["malus", "rosa"]]


def test_the_order_of_evaluation_does_not_change_a_byte(tmp_path: Path) -> None:
    predictions = node_predictions()
    turned = np.array([2, 0, 1])
    predictions.write(tmp_path / "one.parquet")
    NodePredictions(
        image_id=predictions.image_id[turned],
        uri=predictions.uri[turned],
        truth=predictions.truth[turned],
        answers=predictions.answers.take(turned),
    ).write(tmp_path / "other.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_golden_files_are_still_read() -> None:
    node = NodePredictions.read(GOLDEN / "node_predictions_v1.parquet")
    family = FamilyPredictions.read(GOLDEN / "family_predictions_v2.parquet")
    assert node.answers.first.tolist() == ["malus", "malus", "rosa"]
    assert family.cluster_id.tolist() == ["plant-1", "plant-2"]
    assert family.flat is not None
    assert family.flat.first.tolist() == ["rosa", "malus"]


def test_a_file_that_is_no_such_table_is_refused_by_name(tmp_path: Path) -> None:
    noise = tmp_path / "noise.parquet"
    noise.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(IntegrityError, match=r"noise\.parquet: cannot be read"):
        NodePredictions.read(noise)
    node_predictions().write(tmp_path / "node.parquet")
    with pytest.raises(IntegrityError, match="predictions/family, version 2"):
        FamilyPredictions.read(tmp_path / "node.parquet")
    newer = pa.table({name: [] for name in NODE_SCHEMA.names}, NODE_SCHEMA.with_metadata({b"earthsnap.version": b"2"}))
    pq.write_table(newer, tmp_path / "newer.parquet")
    with pytest.raises(IntegrityError, match="unexpected columns or version"):
        NodePredictions.read(tmp_path / "newer.parquet")
