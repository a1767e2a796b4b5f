"""What containers of a search by the service's own tuning do: look for its result, teach one trial, keep the best.

A trial is an ordinary training job whose hyperparameters the service has chosen. It says after each epoch how good it is,
in a line that the service reads, and notes for ours what it tried and what came of it; the service names the best one.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from earthsnap_train.context import Context
from earthsnap_train.errors import StageError
from earthsnap_train.pipeline.plan import split_reference
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.spec.tuning import Sought, Value
from earthsnap_train.training.found import Attempt, Settings, Tried, write_found
from launchers.sagemaker import places
from launchers.sagemaker.ranges import values_of
from launchers.sagemaker.shelf import Done
from launchers.sagemaker.strategy import METRIC_LINE
from launchers.sagemaker.tuning import BEST, FIND

if TYPE_CHECKING:
    from launchers.sagemaker.job import Work


class TrialNote(BaseModel):
    """What a trial leaves in the bucket. ``given``: hyperparameters as they came; ``attempt``: as in ``training.trial``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_job: str
    given: dict[str, str]
    attempt: dict[str, Any]


def search_part(work: "Work", words: Sequence[str]) -> None:
    """``words``: after ``processing`` find, or best with the names of the tuning job and of its best training job."""
    match words:
        case [part] if part == FIND:
            _find(work)
        case [part, tuning_job, best_job] if part == BEST:
            _keep_best(work, tuning_job, best_job)
        case _:
            _try(work)


# ---- is it there already?


def _find(work: "Work") -> None:
    (stage,) = work.job.stages
    key = key_of(_ingredients(work))
    found = work.shelf.find(key) is not None
    if found:
        work.shelf.tell(work.run_name, Done(stage=stage.name, key=key, cached=True))
    folder = work.root / places.FOUND_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / places.FOUND_FILE).write_text(json.dumps({"found": found}))
    _say(f"{stage.name}: {'there already' if found else 'has to be searched for'}")


def _ingredients(work: "Work") -> dict[str, Any]:
    """By what the run has noted of the stages before, whose files the search's key does not need."""
    (stage,) = work.job.stages
    digests = {f"@{name}": digest for name, digest in work.job.externals.items()}
    for name in {split_reference(reference)[0] for _, reference in stage.references()} - digests.keys():
        done = work.shelf.told(work.run_name, name)
        artifact = work.shelf.find(done.key) if done is not None else None
        if artifact is None:
            raise StageError(f"it was begun before {name} was done", where=stage.name)
        digests[name] = artifact.digest
    return stage_ingredients(stage, digests)


# ---- one trial


def _try(work: "Work") -> None:
    """Raises StageError where the trial fails, which costs this trial and not the search."""
    from earthsnap_train.training.owner import groups_of
    from earthsnap_train.training.search import make_task, search

    (stage,) = work.job.stages
    settings = Settings.model_validate(stage.settings)
    name = os.environ[places.TRAINING_JOB_VARIABLE]
    given = json.loads((work.root / places.HYPERPARAMETERS).read_bytes())
    put = partial(work.shelf.tell_trial, work.run_name, work.job.pipeline, name)
    trial = Trial(name, given, settings.search, put=put)
    # Trials of one tuning job share the place of their checkpoints.
    scratch = work.root / places.CHECKPOINTS / name
    scratch.mkdir(parents=True, exist_ok=True)
    task = make_task(settings, {name: work.place(reference) for name, reference in stage.references()}, scratch)
    context = Context(scratch=scratch, resources=work.resources())
    if groups := groups_of(context):
        context = replace(context, resources=replace(context.resources, devices=groups[0]))
    work.ending.beside(partial(search, task, trial, context), scratch=scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    if trial.error:
        raise StageError(f"the trial failed: {trial.error}", where=stage.name)


class Trial:
    """The only one of its container. After each epoch it says how good it is, for it may be ended at any of them.

    ``put``: where its note goes, over the one before. Raises StageError for what the space does not have.
    """

    def __init__(self, name: str, given: dict[str, str], sought: Sought, *, put: Callable[[str], None]) -> None:
        self._values: dict[str, Value] | None = values_of(given, sought.space)
        self._name, self._given, self._objective, self._put = name, given, sought.objective, put
        self._started = time.monotonic()
        self.error = ""

    def next(self) -> tuple[int, dict[str, Value]] | None:
        values, self._values = self._values, None
        return None if values is None else (0, values)

    def examine(self, number: int, epoch: int, value: float) -> bool:
        """Always goes on: it is the service that ends trials."""
        _say(METRIC_LINE.format(name=self._objective, value=value))
        seconds = round(time.monotonic() - self._started, 3)
        self._note({"state": "pruned", "value": value, "curve": [], "seconds": seconds})
        return True

    def ended(self, number: int, attempt: Attempt) -> None:
        self._note(asdict(attempt))
        self.error = attempt.error

    def _note(self, attempt: dict[str, Any]) -> None:
        note = TrialNote(training_job=self._name, given=self._given, attempt=attempt)
        self._put(note.model_dump_json())


# ---- what was the best


def _keep_best(work: "Work", tuning_job: str, best_job: str) -> None:
    (stage,) = work.job.stages
    settings = Settings.model_validate(stage.settings)
    tried = _tried(work, tuning_job, settings)
    best = tried.get(best_job)
    if best is None:
        raise StageError(
            f"{best_job}, which the service names as the best trial, has left no note",
            where=stage.name,
            remedy="run again: a new tuning job makes its own",
        )
    made_of = _ingredients(work)
    key = key_of(made_of)
    with work.store.building(key) as folder:
        write_found(folder, settings, list(tried.values()), best, importances={})
        artifact = work.store.publish(
            folder, key=key, kind=stage.kind, stage=stage.name, made_of=made_of,
            seconds=sum(one.attempt.seconds for one in tried.values()), num_images=stage.num_images,
        )  # fmt: skip
    work.shelf.put(work.store.path(key), artifact)
    work.shelf.tell(work.run_name, Done(stage=stage.name, key=key, cached=False))
    _say(f"{stage.name}: best of {len(tried)} trials is {best.number}, {best.values}")


def _tried(work: "Work", tuning_job: str, settings: Settings) -> dict[str, Tried]:
    """Training job -> what came of it, in the order of their names, which the service numbers."""
    notes = [
        TrialNote.model_validate_json(file.read_bytes())
        for file in sorted((work.channels / places.TRIALS_CHANNEL).rglob("*.json"))
        if file.name.startswith(f"{tuning_job}-")  # a run that goes on has those of the tuning job before as well
    ]
    return {
        note.training_job: Tried(
            number=number, values=values_of(note.given, settings.search.space), attempt=Attempt(**note.attempt)
        )
        for number, note in enumerate(notes)
    }


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
