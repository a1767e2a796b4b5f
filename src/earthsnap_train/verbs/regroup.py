"""``regroup``: what a grouping made afresh would move and retrain."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from earthsnap_train.pipeline.store import Store
from earthsnap_train.pipeline.survey import survey
from earthsnap_train.spec.job import Regroup
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.lock import lock_path, read_lock, write_lock
from earthsnap_train.taxonomy.regroup import RegroupDifference, regroup, regroup_difference
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Regroup)
    console = console_for_people()
    path = lock_path(Path(spec.paths.groupings), spec.name)
    lock = read_lock(path, family=spec.name)
    if lock is None:
        console.print(f"there is no lock yet ({path}); the first run writes it", markup=False)
        return 0, None
    fresh = regroup(spec.grouping, survey(spec, Store(Path(spec.paths.store))).taxonomy, lock)
    difference = regroup_difference(lock, fresh)
    if spec.json_output:
        print(json.dumps(asdict(difference), indent=1))  # noqa: T201
    else:
        _show(difference, console)
    if job.write and difference.moves:
        write_lock(path, fresh, family=spec.name)
        console.print(f"written: {path}", markup=False)
    elif difference.moves:
        console.print("nothing was written; regroup write=true replaces the lock", markup=False)
    return 0, None


def _show(difference: RegroupDifference, console: Console) -> None:
    if not difference.moves:
        console.print("the lock is what the declaration would make today", markup=False)
        return
    for move in difference.moves:
        console.print(f"  {move.species_id}: {move.old or 'new'} -> {move.new or 'gone'}", markup=False)
    console.print(f"would be taught again: {', '.join(difference.retrained) or 'nothing'}", markup=False)
    console.print(f"stays as it is:        {', '.join(difference.kept) or 'nothing'}", markup=False)
