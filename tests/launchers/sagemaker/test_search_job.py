"""Containers of a search: found, not searched again; a trial says how good it is; the best named is what is kept."""

import json
import math
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.pipeline.plan import Stage, split_reference
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.tuning import Sought
from launchers.sagemaker import places
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.description import JobDescription
from launchers.sagemaker.job import main
from launchers.sagemaker.search_job import Trial, TrialNote
from launchers.sagemaker.shelf import Done, Shelf
from launchers.sagemaker.trials import read_metric
from tests.conftest import Tiny

RUN, PIPELINE = "first", "plants-tune-parent"
GIVEN = {"lr": "0.004", "weight_decay": "0.2", "_tuning_objective_metric": "val_loss"}
TYPED = ("training=head", "training.num_epochs=2", "tuning=quick", "tuning.subset=4")


@dataclass(frozen=True)
class Search:
    """A /opt/ml in a folder and a bucket in another, where everything lies that a search of ``stage`` needs."""

    folder: Path
    stage: Stage
    before: Mapping[str, Artifact]

    @property
    def shelf(self) -> Shelf:
        return Shelf(FolderBucket(self.folder / "s3" / "photographs"), name="photographs", prefix="earthsnap")

    @property
    def root(self) -> Path:
        return self.folder / "ml"

    @property
    def key(self) -> str:
        return key_of(stage_ingredients(self.stage, {name: one.digest for name, one in self.before.items()}))

    @property
    def bucket(self) -> Path:
        return self.folder / "s3" / "photographs" / "earthsnap"

    def small(self, *words: str) -> int:
        """A processing job, asked for these words."""
        inputs = self._begin(places.PROCESSING_INPUTS)
        notes = self.bucket / f"runs/{RUN}/{PIPELINE}/trials"
        if notes.is_dir():
            shutil.copytree(notes, inputs / "trials")
        return main(["processing", *words])

    def trial(self, name: str, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str] = GIVEN) -> int:
        inputs = self._begin(places.TRAINING_INPUTS)
        self.shelf.write_channel(RUN, f"{PIPELINE}/tune.earlier", self.before)
        _, *names = json.loads((self.bucket / f"runs/{RUN}/{PIPELINE}/tune.earlier.manifest").read_text())
        for key in names:
            (inputs / "earlier" / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.bucket / key, inputs / "earlier" / key)
        (self.root / places.HYPERPARAMETERS).parent.mkdir(parents=True)
        (self.root / places.HYPERPARAMETERS).write_text(json.dumps(given))
        monkeypatch.setenv(places.TRAINING_JOB_VARIABLE, name)
        return main(["training"])

    def note(self, name: str) -> TrialNote:
        return TrialNote.model_validate_json((self.bucket / f"runs/{RUN}/{PIPELINE}/trials/{name}.json").read_bytes())

    def leave(self, name: str, *, lr: str, value: float) -> None:
        attempt = {"state": "complete", "value": value, "curve": [], "seconds": 2.0, "error": ""}
        note = TrialNote(training_job=name, given=GIVEN | {"lr": lr}, attempt=attempt)
        self.shelf.tell_trial(RUN, PIPELINE, name, note.model_dump_json())

    def said(self, name: str) -> str:
        return (self.root / "output" / name).read_text()

    def _begin(self, inputs: str) -> Path:
        shutil.rmtree(self.root, ignore_errors=True)
        job = JobDescription(
            pipeline=PIPELINE, job="tune", stages=(self.stage,), externals={}, gates={}, judges=False, threads=1,
            devices_per_trial=1, checkpoint_every_s=60,
        )  # fmt: skip
        (self.root / inputs / "job").mkdir(parents=True)
        (self.root / inputs / "job" / "job.json").write_text(job.model_dump_json())
        return self.root / inputs


@pytest.fixture
def search(tiny: Callable[..., Tiny], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    for name, value in (
        (places.ROOT_VARIABLE, str(tmp_path / "ml")), (places.S3_VARIABLE, str(tmp_path / "s3")),
        (places.RUN_VARIABLE, RUN), (places.BUCKET_VARIABLE, "photographs"), (places.PREFIX_VARIABLE, "earthsnap"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    family = tiny(*TYPED)
    stage = family.plan.stage("tune/parent")
    sought: Any = stage.settings["search"]
    stage = stage.model_copy(update={"settings": stage.settings | {"search": sought | {"engine": "sagemaker"}}})
    store = Store(tmp_path / "store")
    found = Search(tmp_path, stage, {})
    before = {}
    for number, name in enumerate(dict.fromkeys(split_reference(ref)[0] for _, ref in stage.references())):
        key = f"{number:040x}"
        with store.building(key) as folder:
            shutil.copytree(family.out(name), folder, dirs_exist_ok=True)
            artifact = store.publish(
                folder, key=key, kind=name.partition("/")[0], stage=name, made_of={}, seconds=1, num_images=1
            )
        before[name] = found.shelf.put(store.path(key), artifact)
        found.shelf.tell(RUN, Done(stage=name, key=key, cached=False))
    handler = signal.getsignal(signal.SIGTERM)
    yield Search(tmp_path, stage, before)
    signal.signal(signal.SIGTERM, handler)


def test_a_trial_teaches_with_what_it_was_given_and_says_after_each_epoch_how_good_it_is(
    search: Search, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from launchers.sagemaker.strategy import metric_definitions

    assert search.trial("job-001-a", monkeypatch) == 0

    (metric,) = metric_definitions(search.stage)
    out = capfd.readouterr().out
    note = search.note("job-001-a")
    assert (note.training_job, note.given) == ("job-001-a", GIVEN)
    assert note.attempt["state"] == "complete"
    assert len(note.attempt["curve"]) == 2
    assert out.count("earthsnap-trial") == 2
    assert not (search.root / places.CHECKPOINTS / "job-001-a").exists()
    # The last line is the value, to its last bit.
    assert (
        read_metric(out, metric["Regex"]) == note.attempt["value"] == min(r["val_loss"] for r in note.attempt["curve"])
    )


def test_a_trial_that_is_ended_early_has_left_a_note_of_how_far_it_came(
    search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    notes: list[TrialNote] = []
    sought = Sought.model_validate(search.stage.settings["search"])
    trial = Trial("job-001-a", GIVEN, sought, put=lambda text: notes.append(TrialNote.model_validate_json(text)))

    goes_on = trial.examine(0, 1, 1 / 3)

    assert goes_on
    assert [(n.training_job, n.attempt["state"], n.attempt["value"]) for n in notes] == [("job-001-a", "pruned", 1 / 3)]
    assert capsys.readouterr().out == "earthsnap-trial val_loss=0.3333333333333333;\n"


def test_trials_of_other_settings_come_to_other_values(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, lr in (("job-001-a", "0.0003"), ("job-002-b", "0.03"), ("job-003-c", "0.03")):
        assert search.trial(name, monkeypatch, GIVEN | {"lr": lr}) == 0

    values = [search.note(name).attempt["value"] for name in ("job-001-a", "job-002-b", "job-003-c")]
    assert values[0] != values[1] == values[2]


@pytest.mark.parametrize("given", [GIVEN | {"lr": "5"}, GIVEN | {"method": "full"}])
def test_a_trial_of_settings_that_are_not_searched_is_refused(
    given: dict[str, str], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search.trial("job-001-a", monkeypatch, given) == 5

    assert next(iter(given.keys() - GIVEN.keys()), "lr") in search.said("failure")
    assert not (search.bucket / f"runs/{RUN}/{PIPELINE}/trials").exists()


def test_a_trial_that_fails_says_why_and_leaves_a_note_of_it(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is to learn from is something else than it should be."""
    embedded = next(name for name in search.before if name.startswith("embed/"))
    stage = search.stage.model_copy(
        update={"inputs": {k: v if v != embedded else next(n for n in search.before if n.startswith("select/"))
                           for k, v in search.stage.inputs.items()}}
    )  # fmt: skip
    broken = Search(search.folder, stage, search.before)

    assert broken.trial("job-001-a", monkeypatch) == 5

    assert "the trial failed" in broken.said("failure")
    assert broken.note("job-001-a").attempt["state"] == "failed"


def test_a_search_that_was_made_is_found_and_one_that_was_not_is_not(search: Search) -> None:
    def found() -> Any:
        assert search.small("find") == 0
        return json.loads((search.root / places.FOUND_FOLDER / places.FOUND_FILE).read_text())

    assert found() == {"found": False}
    assert search.shelf.told(RUN, "tune/parent") is None
    search.leave("job-001-a", lr="0.001", value=2.0)
    assert search.small("best", "job", "job-001-a") == 0
    assert found() == {"found": True}
    assert search.shelf.told(RUN, "tune/parent") == Done(stage="tune/parent", key=search.key, cached=True)


def test_what_the_service_names_is_kept_under_the_key_of_the_search(search: Search, tmp_path: Path) -> None:
    """Also where a note says that another was better: the service has judged."""
    search.leave("other-001-x", lr="0.02", value=0.1)
    search.leave("job-001-a", lr="0.001", value=1.0)
    search.leave("job-002-b", lr="0.002", value=2.0)

    assert search.small("best", "job", "job-002-b") == 0

    assert search.shelf.told(RUN, "tune/parent") == Done(stage="tune/parent", key=search.key, cached=False)
    artifact = search.shelf.find(search.key)
    assert artifact is not None
    search.shelf.fetch(artifact, tmp_path / "kept")
    assert json.loads((tmp_path / "kept/best.json").read_text()) == {"settings": {"lr": 0.002, "weight_decay": 0.2}}
    trials = json.loads((tmp_path / "kept/notes/trials.json").read_text())
    assert [(one["number"], one["params"]["lr"], one["value"]) for one in trials] == [(0, 0.001, 1.0), (1, 0.002, 2.0)]
    assert json.loads((tmp_path / "kept/notes/search.json").read_text())["best"] == 1
    assert math.isclose(artifact.seconds, 4.0)


def test_the_report_can_show_it_as_any_other_search(search: Search, tmp_path: Path) -> None:
    from earthsnap_train.evaluation.search_panel import read_panel

    search.leave("job-001-a", lr="0.001", value=1.0)
    search.small("best", "job", "job-001-a")
    artifact = search.shelf.find(search.key)
    assert artifact is not None
    search.shelf.fetch(artifact, tmp_path / "kept")

    panel = read_panel("parent", ["parent"], tmp_path / "kept")
    assert panel.found.params == {"lr": 0.001, "weight_decay": 0.2}


def test_a_best_trial_that_left_no_note_is_an_error(search: Search) -> None:
    search.leave("job-001-a", lr="0.001", value=1.0)

    assert search.small("best", "job", "job-007-z") == 5
    assert "job-007-z, which the service names as the best trial, has left no note" in search.said("message")


def test_a_search_before_what_it_reads_is_an_error(search: Search) -> None:
    (search.bucket / places.stage_pointer(RUN, "select/parent")).unlink()

    assert search.small("find") == 5
    assert "it was begun before select/parent was done" in search.said("message")
