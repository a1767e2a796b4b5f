"""What the report shows of a search."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.evaluation import search_charts
from earthsnap_train.evaluation.report import ReportData, render
from earthsnap_train.evaluation.search_panel import SearchPanel, read_panel
from tests.evaluation.test_report import HOSTILE, Page

SPACE = {
    "lr": {"kind": "float", "low": 0.001, "high": 0.1, "log": True},
    "batch_size": {"kind": "int", "low": 8, "high": 24, "step": 8},
    "imbalance": {"kind": "choice", "of": ["none", "sqrt", None]},
}
TRIALS: list[dict[str, Any]] = [
    {"number": 0, "params": {"lr": 0.001, "batch_size": 8, "imbalance": "none"}, "value": 0.4, "state": "complete"},
    {"number": 1, "params": {"lr": 0.1, "batch_size": 24}, "value": 0.8, "state": "pruned"},
    {"number": 2, "params": {"lr": 0.1, "batch_size": 16, "imbalance": None}, "value": None, "state": "failed"},
    {"number": 3, "params": {"lr": 0.01, "batch_size": 16, "imbalance": "sqrt"}, "value": 0.2, "state": "complete"},
]


def panel(tmp_path: Path, **changes: Any) -> SearchPanel:
    """As stage ``tune`` writes it."""
    about = {
        "objective": "val_loss", "direction": "minimize", "sampler": "tpe", "pruning": "asha", "best": 3, "space": SPACE,
        "declared": {"lr": 0.001}, "importances": {"lr": 0.75, "batch_size": 0.25},
    }  # fmt: skip
    trials = [row | {"epochs": 4, "seconds": 1.5, "curve": [{"epoch": 1}], "error": ""} for row in TRIALS]
    (tmp_path / "notes").mkdir(parents=True)
    (tmp_path / "notes" / "search.json").write_text(json.dumps(about | changes))
    (tmp_path / "notes" / "trials.json").write_text(json.dumps(trials))
    return read_panel("child", ["child/a", "child/b"], tmp_path)


def test_the_best_trials_come_first_and_only_those_taught_to_their_end(tmp_path: Path) -> None:
    found = panel(tmp_path)

    assert [trial.number for trial in found.shown] == [3, 0]
    assert found.found.number == 3
    assert found.seconds == 6.0
    assert panel(tmp_path / "up", objective="val_top1").shown[0].number == 0


def test_the_report_tells_what_was_tried_and_what_matters(
    make_report: Callable[..., ReportData], tmp_path: Path
) -> None:
    page = Page(render(make_report(searches=(panel(tmp_path),))))

    assert "searches" in page.ids
    assert "searches" in page.anchors
    for words in ("child , shared by 2 networks", "4 trials in 6.0 s, 1 of them ended early , 1 failed", "lr=0.01",
                  "lr 75%, batch_size 25%", "0 as declared"):  # fmt: skip
        assert words in page.text.replace("child,", "child ,").replace("early,", "early ,"), words


def test_a_report_without_a_search_has_no_word_of_one(make_report: Callable[..., ReportData]) -> None:
    page = Page(render(make_report()))

    assert "searches" not in [*page.ids, *page.anchors]
    assert "Trials" not in page.text


def test_a_report_with_a_search_comes_back_from_json_unchanged(
    make_report: Callable[..., ReportData], tmp_path: Path
) -> None:
    data = make_report(searches=(panel(tmp_path),))

    assert render(ReportData.model_validate_json(data.model_dump_json())) == render(data)


def test_names_and_values_are_escaped(make_report: Callable[..., ReportData], tmp_path: Path) -> None:
    found = panel(tmp_path)
    hostile = found.model_copy(
        update={
            "name": HOSTILE,
            "trials": tuple(
                trial.model_copy(update={"params": {**trial.params, "imbalance": HOSTILE}}) for trial in found.trials
            ),
            "space": {**found.space, "imbalance": found.space["imbalance"].model_copy(update={"of": [HOSTILE]})},
        }
    )

    assert "<script>alert" not in render(make_report(searches=(hostile,)))


def test_the_history_has_a_mark_for_every_trial_and_better_ones_stand_higher(tmp_path: Path) -> None:
    drawing = search_charts.history(panel(tmp_path))

    marks = re.findall(
        r'class="(complete|pruned|failed)" (?:cx="|transform="translate\()([\d.]+)(?:" cy="| )([\d.]+)', drawing
    )
    assert [kind for kind, _, _ in marks] == ["complete", "pruned", "failed", "complete"]
    assert [x for _, x, _ in marks] == ["8.0", "156.0", "304.0", "452.0"]
    # A failure stands at the bottom, and so does the worst; the best stands at the top.
    assert [y for _, _, y in marks] == ["90.0", "172.0", "172.0", "8.0"]
    assert 'class="best line" d="M8.0 90.0L452.0 90.0L452.0 8.0"' in drawing


def test_a_trial_is_a_line_across_its_settings_to_what_came_of_it(tmp_path: Path) -> None:
    drawing = search_charts.parallel(panel(tmp_path))

    assert re.findall(r'text-anchor="middle">([^<]+)<', drawing) == ["lr", "batch_size", "imbalance", "val_loss"]
    assert 'class="best line" d="M34.0 96.0L164.7 96.0L295.3 96.0L426.0 22.0"' in drawing
    # A setting that a trial does not have is passed by, and a failure comes to nothing.
    assert 'class="pruned line" d="M34.0 22.0L164.7 22.0L426.0 170.0"' in drawing
    assert 'class="failed line" d="M34.0 22.0L164.7 96.0L295.3 22.0"' in drawing


@pytest.mark.parametrize("count", [1, 2])
def test_a_search_of_hardly_any_trials_can_be_drawn(tmp_path: Path, count: int) -> None:
    found = panel(tmp_path)
    short = found.model_copy(update={"trials": found.trials[:count], "best": 0})

    assert "nan" not in search_charts.history(short) + search_charts.parallel(short)
