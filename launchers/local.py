"""Runs a plan on this machine: stages side by side in processes of their own, on its GPUs where there are any.

What is in the store is not run again, so that a run which was stopped in any way goes on where it was.
"""

import errno
import os
import queue
import shutil
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from earthsnap_train.context import Context, Resources
from earthsnap_train.errors import EarthsnapError, EnvironmentProblem, StageError
from earthsnap_train.pipeline.plan import Plan, Stage, split_reference
from earthsnap_train.pipeline.resolve import explain, key_of, stage_ingredients
from earthsnap_train.pipeline.stages import KINDS, function
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.processes import pool, usable_cores
from earthsnap_train.spec.launcher import Local
from launchers.photographs import bring_photographs

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one stage. ``cached``: its artifact was there before this run."""

    artifact: Artifact
    cached: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a running stage said. ``kind``: started, progress, measure, note, cached, done, failed."""

    stage: str
    kind: str
    values: Mapping[str, Any]
    at: float


Listener = Callable[[Event], None]


def check(settings: Local) -> None:
    """Raises EnvironmentProblem before anything begins, where this machine lacks what is declared."""
    _gpu_groups(settings)


def launch(
    plan: Plan,
    settings: Local,
    store: Store,
    places: Mapping[str, Path],
    listen: Listener,
    *,
    only: Collection[str] | None = None,
) -> dict[str, Outcome]:
    """Runs what is not in the store and returns every stage's outcome. ``places``: where the plan's externals lie here.

    ``only``: these stages and no others. Raises the first failing stage's own error, after those beside it have ended.
    """
    return _Run(plan, settings, store, places, listen).go(only)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One stage with everything resolved: what a worker process is given."""

    stage: Stage
    key: str
    made_of: dict[str, Any]
    inputs: dict[str, Path]
    previous: Path | None
    resources: Resources
    store: Path


class _Run:
    def __init__(self, plan: Plan, settings: Local, store: Store, places: Mapping[str, Path], listen: Listener) -> None:
        self.plan, self.settings, self.store, self.places, self.listen = plan, settings, store, places, listen
        self.cores = usable_cores()
        self.slots = settings.stages or max(1, self.cores // settings.threads)
        self.gpus = _gpu_groups(settings)  # those that no stage uses now
        self.num_gpus = len(self.gpus)
        self.outcomes: dict[str, Outcome] = {}
        self.running: dict[Future[Artifact], tuple[Stage, str, Resources]] = {}
        self.digests = {f"@{name}": digest for name, digest in plan.externals.items()}
        self.reasons: dict[str, str] = {}
        self.failure: EarthsnapError | None = None
        self.pools: dict[tuple[int, ...], Any] = {}  # by the GPUs that their stages use
        self.events: Any = None
        self.has_photographs = False
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.ended = threading.Event()

    def go(self, only: Collection[str] | None) -> dict[str, Outcome]:
        todo = [stage for stage in self.plan.stages if only is None or stage.name in only]
        try:
            while True:
                waiting = len(todo)
                todo = [stage for stage in todo if self.failure is not None or not self._advance(stage)]
                if self.running:
                    done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._finish(future)
                elif self.failure is not None or len(todo) == waiting:
                    break
        except BaseException:
            self._stop()
            raise
        self._close()
        if self.failure is not None:
            raise self.failure
        assert not todo, [stage.name for stage in todo]
        return self.outcomes

    def _advance(self, stage: Stage) -> bool:
        """True once the stage is found, done or under way."""
        needed = {split_reference(ref)[0] for _, ref in stage.references()}
        if any(name not in self.outcomes for name in needed if not name.startswith("@")):
            return False
        made_of = stage_ingredients(stage, self.digests)
        key = key_of(made_of)
        if any(other == key for _, other, _ in self.running.values()):
            return False  # the same stage under another name: its artifact will be there soon
        found = self.store.find(key)
        last = self.store.head(self.plan.family, stage.name)
        if found is not None:
            self._conclude(stage, found, cached=True, reason="")
            return True
        kind = KINDS[stage.kind]
        reason = explain(made_of, last)
        if "@photographs" in needed and not self.has_photographs:
            bring_photographs(self.plan, self.places["photographs"])
            self.has_photographs = True
        inputs = {name: self._place(ref) for name, ref in stage.references()}
        if kind.light:
            resources: Resources | None = Resources(threads=self.settings.threads)
        else:
            resources = self._take(stage)
        if resources is None:
            return False
        task = _Task(
            stage=stage, key=key, made_of=made_of, inputs=inputs, resources=resources, store=self.store.root,
            previous=self.store.path(last.key) if last is not None else None,
        )  # fmt: skip
        self._say(stage.name, "started", {"reason": reason, "num_images": stage.num_images})
        if kind.light:
            try:
                artifact = _perform(task, self.store, self.listen)
            except Exception as error:
                self._fail(stage, error)
            else:
                self._conclude(stage, artifact, cached=False, reason=reason)
        else:
            self.running[self._pool(resources.devices).submit(_work, task)] = (stage, key, resources)
            self.reasons[stage.name] = reason
        return True

    def _finish(self, future: "Future[Artifact]") -> None:
        stage, _, resources = self.running.pop(future)
        if resources.devices:
            self.gpus.append(resources.devices)
        try:
            artifact = future.result()
        except Exception as error:
            self._fail(stage, error)
        else:
            self._conclude(stage, artifact, cached=False, reason=self.reasons.get(stage.name, ""))

    def _fail(self, stage: Stage, error: Exception) -> None:
        """The first failure is the one that is told; those beside it may follow from it."""
        ours = in_our_words(error, stage)
        if ours is not error:
            ours.__cause__ = error
        self._say(stage.name, "failed", {"error": "".join(traceback.format_exception(ours))})
        self.failure = self.failure or ours

    def _conclude(self, stage: Stage, artifact: Artifact, *, cached: bool, reason: str) -> None:
        self.digests[stage.name] = artifact.digest
        self.outcomes[stage.name] = Outcome(artifact=artifact, cached=cached, reason=reason)
        self.store.set_head(self.plan.family, stage.name, artifact.key)
        self.store.used(artifact.key)
        self._say(
            stage.name, "cached" if cached else "done", {"seconds": artifact.seconds, "num_images": stage.num_images}
        )

    def _place(self, reference: str) -> Path:
        name, inside = split_reference(reference)
        if name.startswith("@"):
            return self.places[name.removeprefix("@")]
        return self.store.path(self.outcomes[name].artifact.key) / inside

    def _take(self, stage: Stage) -> Resources | None:
        """What the stage may use, or None while all is taken."""
        if len(self.running) >= self.slots + self.num_gpus:
            return None
        workers = self.settings.workers or self.cores
        common = {
            "threads": self.settings.threads,
            "checkpoint_every_s": self.settings.checkpoint_every_s,
            "devices_per_trial": self.settings.devices_per_trial,
        }
        if KINDS[stage.kind].uses_gpu and self.num_gpus:
            if not self.gpus:
                return None
            return Resources(workers=workers, accelerator="cuda", devices=self.gpus.pop(), **common)  # type: ignore[arg-type]
        on_cpu = sum(1 for _, _, resources in self.running.values() if not resources.devices)
        if on_cpu >= self.slots:
            return None
        inside = workers if KINDS[stage.kind].parallel_inside or self.num_gpus else 1
        return Resources(workers=inside, **common)  # type: ignore[arg-type]

    # ---- processes

    def _pool(self, devices: tuple[int, ...]) -> Any:
        """One process for all stages of the same GPUs: to begin on a GPU takes seconds, and memory as long as it lives."""
        if not self.pools:
            for variable in THREAD_VARIABLES:
                os.environ.setdefault(variable, str(self.settings.threads))
            self.events = get_context("spawn").Queue()
            self.listener.start()
        if devices not in self.pools:
            self.pools[devices] = pool(1 if devices else self.slots, _prepare, self.events)
        return self.pools[devices]

    def _listen(self) -> None:
        while True:
            try:
                event: Event = self.events.get(timeout=0.1)
            except queue.Empty:
                if self.ended.is_set():
                    return
                continue
            try:
                self.listen(event)
            except Exception as error:  # told at the end; a run that nobody hears begins nothing more
                self.failure = self.failure or in_our_words(error, self.plan.stage(event.stage))

    def _close(self) -> None:
        """Waits for the processes, and then for the last that they said."""
        for each in self.pools.values():
            each.shutdown()
        self.ended.set()
        if self.pools:
            self.listener.join()

    def _stop(self) -> None:
        """Ends every process at once: what they had finished is kept, what they had begun is in their scratch folders."""
        self.ended.set()
        for each in self.pools.values():
            for process in list((each._processes or {}).values()):
                process.terminate()
            each.shutdown(wait=False, cancel_futures=True)

    def _say(self, stage: str, kind: str, values: Mapping[str, Any]) -> None:
        self.listen(Event(stage=stage, kind=kind, values=values, at=time.time()))


def in_our_words(error: Exception, stage: Stage) -> EarthsnapError:
    """What a person can do about a stage's failure; its own error where the stage has said it already."""
    if isinstance(error, EarthsnapError):
        return error
    if isinstance(error, BrokenProcessPool):
        return EnvironmentProblem(
            "a process of this run was ended from outside, most often for want of memory",
            where=stage.name,
            remedy="launcher.stages=1 runs one stage at a time; the same command goes on where this one stopped",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentProblem(
            "the disk is full",
            where=stage.name,
            remedy="free some space (earthsnap gc dry_run=true lists what may go) and run again",
        )
    if type(error).__name__ == "OutOfMemoryError":  # torch's, without importing it
        return EnvironmentProblem(
            "the GPU's memory is too small for this stage",
            where=stage.name,
            remedy="a smaller training.batch_size or backbone.image_px, or launcher.accelerator=cpu",
        )
    if isinstance(error, MemoryError):
        return EnvironmentProblem(
            "the memory is too small", where=stage.name, remedy="launcher.stages=1 runs one stage at a time"
        )
    return StageError(
        f"{type(error).__name__}: {error}",
        where=stage.name,
        remedy="this is a bug, please report it; --traceback shows where it happened",
    )


def _gpu_groups(settings: Local) -> list[tuple[int, ...]]:
    """GPUs in groups of ``devices_per_node``; none where there are none or none are wanted."""
    if settings.accelerator == "cpu" or shutil.which("nvidia-smi") is None:
        found = 0
    else:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
        found = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    if settings.accelerator == "cuda" and not found:
        raise EnvironmentProblem(
            "no GPU is to be seen here", where="launcher.accelerator", remedy="launcher.accelerator=auto"
        )
    count = min(found, settings.devices or found)
    size = settings.devices_per_node
    return [tuple(range(first, first + size)) for first in range(0, count - size + 1, size)]


# ---- in the worker process

_EVENTS: Any = None


def _prepare(events: Any) -> None:
    global _EVENTS  # one queue for each process, given once at its start
    _EVENTS = events


def _work(task: _Task) -> Artifact:
    return _perform(task, Store(task.store), _EVENTS.put)


def _perform(task: _Task, store: Store, say: Listener) -> Artifact:
    """Runs one stage and publishes what it wrote; whoever else has the same key waits and finds it."""
    with store.lock(task.key):
        found = store.find(task.key)
        if found is not None:
            return found
        started = time.monotonic()
        with store.building(task.key) as folder:
            context = Context(
                scratch=store.scratch(task.key),
                previous=task.previous,
                resources=task.resources,
                events=_Sender(task.stage.name, say),
            )
            function(task.stage.kind)(task.stage.settings, task.inputs, folder, context)
            return store.publish(
                folder, key=task.key, kind=task.stage.kind, stage=task.stage.name, made_of=task.made_of,
                seconds=time.monotonic() - started, num_images=task.stage.num_images,
            )  # fmt: skip


class _Sender:
    """Sends a stage's events to whoever follows the run; progress at most ten times a second."""

    def __init__(self, stage: str, say: Listener) -> None:
        self._stage = stage
        self._say = say
        self._last = 0.0

    def _send(self, kind: str, values: Mapping[str, Any]) -> None:
        self._say(Event(stage=self._stage, kind=kind, values=values, at=time.time()))

    def progress(self, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if now - self._last >= 0.1 or done >= total:
            self._last = now
            self._send("progress", {"done": done, "total": total, "unit": unit})

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        self._send("measure", {"step": step, **values})

    def note(self, text: str) -> None:
        self._send("note", {"text": text})
