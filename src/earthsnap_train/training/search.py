"""Stage ``tune``: finds settings of training by trials on a part of train and val. Test is not even opened.

Writes ``best.json`` (``settings``: dotted key -> value, which stage ``train`` puts in place of those declared), and under
``notes/`` what was tried: ``trials.json`` and ``search.json``.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from earthsnap_train.context import Context
from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.wording import setting
from earthsnap_train.training.found import Settings, declared_of, write_found
from earthsnap_train.training.owner import Owner, Trials, failed, folder_of, groups_of
from earthsnap_train.training.side_by_side import side_by_side
from earthsnap_train.training.study import Study
from earthsnap_train.training.subset import write_subset
from earthsnap_train.training.train import Settings as TrainSettings
from earthsnap_train.training.trial import Member, Task, attempt


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Raises StageError where too many trials failed, or all of them."""
    s = Settings.model_validate(settings)
    task = make_task(s, inputs, context.scratch)
    study = Study(
        context.scratch / "study.sqlite", s.search, seed=s.seed, declared=declared_of(s), num_epochs=task.num_epochs
    )
    search(task, Owner(study, s.search, context), context)
    best = study.best()
    if best is None:
        raise failed(study, f"none of {len(study.tried())} trials came to a number")
    write_found(out, s, study.tried(), best, importances=study.importances())
    found = ", ".join(f"{key}={setting(value)}" for key, value in best.values.items())
    context.events.note(f"best of {len(study.tried())} trials, {s.search.objective} {best.attempt.value:.4g}: {found}")


def make_task(s: Settings, inputs: Mapping[str, Path], scratch: Path) -> Task:
    """Members with most photographs first: what a trial shows early should say most. Raises DataError where val is empty."""
    members: dict[str, Member] = {}
    for name, member in s.members.items():
        examples = scratch / "examples" / name
        counts = write_subset(inputs[f"examples/{name}"], examples, most=s.search.subset, seed=s.seed)
        if not counts["train"] or not counts["val"]:
            continue
        own = {f"{what}/{group}" for what in ("embed", "records") for group in member.groups} | {"trunk"}
        members[name] = Member(
            settings=TrainSettings(
                training=member.training,
                backbone=s.backbone,
                classes=member.classes,
                splits=["train"],
                seed=s.seed,
                lineages=member.lineages,
            ),
            inputs={"examples": examples, **{key: path for key, path in inputs.items() if key in own}},
            num_taught=counts["train"],
            num_watched=counts["val"],
        )
    if not members:
        raise DataError(
            "there are no photographs in val to judge a trial by",
            where="tuning",
            remedy="a larger dataset.split.val, or tuning=none",
        )
    by_size = sorted(members, key=lambda name: -members[name].num_taught)
    return Task(members={name: members[name] for name in by_size}, objective=s.search.objective)


def search(task: Task, owner: Trials, context: Context) -> None:
    """One trial after the other, or one on each group of devices."""
    torch.set_num_threads(context.resources.threads)
    groups = groups_of(context)
    if len(groups) > 1 or any(len(group) > 1 for group in groups):
        side_by_side(task, owner, [replace(context.resources, devices=group) for group in groups], context)
        return
    while (asked := owner.next()) is not None:
        number, values = asked
        examine = partial(owner.examine, number)
        owner.ended(number, attempt(task, values, folder_of(number, context), context.resources, examine))
