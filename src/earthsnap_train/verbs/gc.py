"""``gc``: removes artifacts that no family's last run, no release and no run under way needs."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.job import CollectGarbage
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, CollectGarbage)
    store = Store(Path(spec.paths.store))
    console = console_for_people()
    oldest = time.time() - job.keep_days * 86400
    garbage = [a for a in unneeded(store) if store.last_used(a.key) <= oldest]
    going = [a for a in garbage if job.dry_run or _remove(store, a.key)]
    for artifact in going:
        console.print(f"  {artifact.stage}  {_megabytes([artifact])}  {artifact.key[:12]}", markup=False)
    left_over = [folder for folder in _left_over(store, oldest) if job.dry_run or _clear(store, folder)]
    what = "would be freed" if job.dry_run else "freed"
    console.print(
        f"{_counted(len(going), 'artifact')} and {_counted(len(left_over), 'left-over folder')}, {_megabytes(going)} {what}",
        markup=False,
    )
    return 0, None


def _megabytes(artifacts: Sequence[Artifact]) -> str:
    return f"{sum(f.size for a in artifacts for f in a.files.values()) / 1e6:,.1f} MB"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def unneeded(store: Store) -> list[Artifact]:
    """Artifacts that are nobody's last, and no last manifest's base. Releases keep their own copies."""
    everything = list(store.all())
    needed = store.heads()
    bases = {
        inputs.get("base")
        for artifact in everything
        if artifact.key in needed and isinstance(inputs := artifact.ingredients.get("inputs"), dict)
    }
    return [a for a in everything if a.key not in needed and a.digest not in bases]


def _remove(store: Store, key: str) -> bool:
    """False where a run holds the key's lock just now."""
    with suppress(Timeout, FileNotFoundError), _lock(store, key).acquire(timeout=0):
        store.remove(key)
        return True
    return False


def _clear(store: Store, folder: Path) -> bool:
    """The same for what a run leaves while it works: ``<key>`` or ``<key>.<number>``."""
    with suppress(Timeout), _lock(store, folder.name.partition(".")[0]).acquire(timeout=0):
        shutil.rmtree(folder, ignore_errors=True)
        return True
    return False


def _lock(store: Store, key: str) -> FileLock:
    return FileLock(store.root / "locks" / f"{key}.lock")


def _left_over(store: Store, oldest: float) -> list[Path]:
    """What killed runs left, untouched for as long as artifacts are kept."""
    folders = [p for name in ("building", "scratch", "broken") for p in (store.root / name).glob("*") if p.is_dir()]
    return [p for p in folders if p.stat().st_mtime <= oldest]
