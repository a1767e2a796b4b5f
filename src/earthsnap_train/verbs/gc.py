"""``gc``: removes artifacts that no family's last run, no release and no run under way needs."""

import shutil
import time
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
    num_bytes = 0
    for artifact in garbage:
        size = sum(f.size for f in artifact.files.values())
        if job.dry_run or _remove(store, artifact.key):
            num_bytes += size
            console.print(f"  {artifact.stage}  {size / 1e6:,.1f} MB  {artifact.key[:12]}", markup=False)
    left_over = _left_over(store, oldest)
    if not job.dry_run:
        for folder in left_over:
            shutil.rmtree(folder, ignore_errors=True)
    what = "would be freed" if job.dry_run else "freed"
    console.print(
        f"{len(garbage)} artifacts and {len(left_over)} left-over folders, {num_bytes / 1e6:,.1f} MB {what}",
        markup=False,
    )
    return 0, None


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
    lock = FileLock(store.root / "locks" / f"{key}.lock")
    try:
        with lock.acquire(timeout=0):
            store.remove(key)
    except (Timeout, FileNotFoundError):
        return False
    return True


def _left_over(store: Store, oldest: float) -> list[Path]:
    """What killed runs left, untouched for as long as artifacts are kept."""
    folders = [p for name in ("building", "scratch", "broken") for p in (store.root / name).glob("*") if p.is_dir()]
    return [p for p in folders if p.stat().st_mtime <= oldest]
