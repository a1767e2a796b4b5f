"""What a container runs: ``python -m launchers.sagemaker.job processing|training``, with the part of a search after it.

It reads ``job.json`` and artifacts from channels below /opt/ml, computes each stage's key from them as it is computed on
a desk, leaves out what the bucket has already, runs the rest and puts it there. Why it failed stands where the service
looks for it, in the words that a person would have read on a desk.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from hashlib import file_digest
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from earthsnap_train.context import Context, Resources
from earthsnap_train.errors import EarthsnapError, IntegrityError, StageError
from earthsnap_train.pipeline.plan import Stage, split_reference
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.pipeline.stages import function
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.processes import end_with_lifeline, usable_cores
from launchers.local import THREAD_VARIABLES, in_our_words
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket, bucket_here
from launchers.sagemaker.description import JobDescription
from launchers.sagemaker.faults import LosingBucket
from launchers.sagemaker.gates import write_gates
from launchers.sagemaker.hosts import read_host
from launchers.sagemaker.photographs import photographs_of, require_unchanged, root_of_listed, root_of_own
from launchers.sagemaker.search_job import search_part
from launchers.sagemaker.shelf import Done, Shelf, read_channel
from launchers.sagemaker.steps import JUDGES
from launchers.sagemaker.strategy import is_by_service

Sort = Literal["processing", "training"]
MOST_CHARACTERS = 1024  # of a reason that the service shows
STOPPED = 143  # as a process that SIGTERM ended


SAVE_WITHIN_S = 60.0  # of the 120 that the service leaves between asking for an end and forcing it
LOOK_EVERY_S = 0.1
SAVES = ("train", "tune")  # kinds of stage that write checkpoints


class Stopped(BaseException):
    """The service asked for an end: by a person, by a time limit, or because spot capacity is taken away."""


def main(arguments: list[str]) -> int:
    sort: Sort = "training" if arguments[:1] == ["training"] else "processing"
    root = Path(os.environ.get(places.ROOT_VARIABLE, places.ROOT))
    end_with_lifeline()
    ending = Ending(root / "save-now")
    signal.signal(signal.SIGTERM, ending.ask)
    try:
        work = Work(root, sort, ending)
        for variable in THREAD_VARIABLES:
            os.environ.setdefault(variable, str(work.job.threads))
        if is_by_service(work.job.stages[0]):
            search_part(work, arguments[1:])
        else:
            work.run()
    except Stopped:
        print("stopped; the same job goes on from its last checkpoint", flush=True)  # noqa: T201
        os._exit(STOPPED)  # whatever the stage is at: what it saved is whole
    except EarthsnapError as error:
        _say_why(root, sort, error)
        return error.exit_code
    except Exception as error:
        _say_why(root, sort, StageError(f"{type(error).__name__}: {error}", remedy="this is a bug, please report it"))
        raise
    return 0


class Ending:
    """What happens when the service asks for an end: training saves at its next step, and then this process ends.

    Stages run beside the main thread, so that nobody but this hears of it: Lightning would end a fit before it saves.
    """

    def __init__(self, save_now: Path) -> None:
        self.save_now = save_now
        self._asked_at: float | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        self._asked_at = self._asked_at or time.time()

    def beside(self, work: Callable[[], object], *, scratch: Path | None) -> None:
        """Runs ``work``, and raises what it raises. ``scratch``: where it saves; None where it does not.

        Raises Stopped once an end was asked for and ``work`` has saved, does not save, or takes too long to.
        """
        pool = ThreadPoolExecutor(1)
        running = pool.submit(work)
        pool.shutdown(wait=False)  # an end that is asked for waits for nobody
        while not wait([running], LOOK_EVERY_S).done:
            if self._asked_at is None:
                continue
            if scratch is None or self._has_saved(scratch) or time.time() - self._asked_at > SAVE_WITHIN_S:
                raise Stopped
            self.save_now.touch()
        running.result()

    def _has_saved(self, scratch: Path) -> bool:
        return any(path.stat().st_mtime > (self._asked_at or 0) for path in scratch.rglob("last.ckpt"))


def _say_why(root: Path, sort: Sort, error: EarthsnapError) -> None:
    place = root / "output" / ("failure" if sort == "training" else "message")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(str(error)[:MOST_CHARACTERS])
    print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201


class Work:
    """One job: its description, what it was given, and what it has made so far."""

    def __init__(self, root: Path, sort: Sort, ending: Ending) -> None:
        self.root, self.sort, self.ending = root, sort, ending
        self.channels = root / (places.TRAINING_INPUTS if sort == "training" else places.PROCESSING_INPUTS)
        self.host = read_host(root / ("input/config" if sort == "training" else "config"))
        description = self.channels / places.JOB_CHANNEL / places.JOB_FILE
        self.job = JobDescription.model_validate_json(description.read_bytes())
        self.run_name = os.environ[places.RUN_VARIABLE]
        self.shelf = Shelf(
            _bucket(), name=os.environ[places.BUCKET_VARIABLE], prefix=os.environ[places.PREFIX_VARIABLE]
        )
        self.store = Store(root / "work")
        self.given: dict[str, tuple[Artifact, Path]] = {}
        for channel in sorted(self.channels.iterdir()):
            if channel.name in (places.BEFORE_CHANNEL, places.EARLIER_CHANNEL):
                self.given |= read_channel(channel)
        self.outside = {name: self._external(name, digest) for name, digest in self.job.externals.items()}
        self.made: dict[str, Artifact] = {}

    def run(self) -> None:
        if self.sort == "training" and len(self.host.names) > 1:
            os.environ |= self.host.rendezvous(os.environ.get(places.MEETING_VARIABLE))
        for stage in self.job.stages:
            if self.job.maps:
                self._measure_for(stage)
            else:
                self._stage(stage)
        if self.job.judges:
            self._judge()
        if not self.host.is_first:
            return
        # Last, for it is what the next job waits for.
        self.shelf.write_channel(self.run_name, f"{self.job.pipeline}/{self.job.job}", self.made)
        for follower, before in self.job.followers.items():
            self.shelf.join_channels(self.run_name, self.job.pipeline, follower, before)

    def _stage(self, stage: Stage) -> None:
        made_of = stage_ingredients(stage, self._digests())
        key = key_of(made_of)
        artifact = self.shelf.find(key)
        cached = artifact is not None
        if artifact is None:
            _log(stage, "started")
            artifact = self._perform(stage, key, made_of)
        if artifact is None:  # the first machine answers for what all of them taught
            return
        self.made[stage.name] = artifact
        self.shelf.tell(self.run_name, Done(stage=stage.name, key=key, cached=cached))
        _log(stage, "there already" if cached else f"done in {artifact.seconds:.1f} s")

    def _perform(self, stage: Stage, key: str, made_of: dict[str, Any]) -> Artifact | None:
        """None on all machines but the first, which takes what came of it to the bucket."""
        inputs = {name: self.place(reference) for name, reference in stage.references()}
        scratch = self._scratch(key)
        if stage.kind == "ingest" and self.job.shards:
            self._keep_shards(stage, key, inputs, scratch)
        started = time.monotonic()
        with self.store.building(key) as folder:
            context = Context(scratch=scratch, resources=self.resources(), events=_Log(stage))
            run = partial(function(stage.kind), stage.settings, inputs, folder, context)
            try:
                self.ending.beside(run, scratch=scratch if stage.kind in SAVES else None)
            except Exception as error:
                raise in_our_words(error, stage) from error
            if not self.host.is_first:
                return None
            artifact = self.store.publish(
                folder, key=key, kind=stage.kind, stage=stage.name, made_of=made_of,
                seconds=time.monotonic() - started, num_images=stage.num_images,
            )  # fmt: skip
        artifact = self.shelf.put(self.store.path(key), artifact)
        shutil.rmtree(scratch, ignore_errors=True)
        return artifact

    def _measure_for(self, stage: Stage) -> None:
        """This machine's share of what a stage after this job would have to look at."""
        from launchers.sagemaker.shards import measure_share

        key = key_of(stage_ingredients(stage, self._digests()))
        number, count = self.host.number + 1, len(self.host.names)
        if self.shelf.find(key) is not None or self.shelf.shard(key, number, count) is not None:
            _log(stage, "measured already")
            return
        reference = stage.inputs["photographs"]
        context = Context(scratch=self._scratch(key), resources=self.resources(), events=_Log(stage))
        measure = partial(
            measure_share, self.place(reference), key=key, number=number, count=count,
            is_dealt_out=reference.startswith("@"), max_megapixels=_max_megapixels(stage), context=context,
        )  # fmt: skip
        measured: list[bytes] = []
        self.ending.beside(lambda: measured.append(measure()), scratch=None)
        self.shelf.put_shard(key, number, count, measured[0])
        _log(stage, f"share {number} of {count} is measured")

    def _keep_shards(self, stage: Stage, key: str, inputs: Mapping[str, Path], scratch: Path) -> None:
        from launchers.sagemaker.shards import keep_shards

        count = self.job.shards
        shards = {places.shard(key, at, count): self.shelf.shard(key, at, count) for at in range(1, count + 1)}
        files = photographs_of(stage, inputs)
        num = keep_shards(shards, files, scratch, key=key, max_megapixels=_max_megapixels(stage))
        _log(stage, f"{num:,} of {len(files):,} photographs were measured by {count} machines")

    def _judge(self) -> None:
        judged = next(stage for stage in self.job.stages if stage.kind in JUDGES)
        folder = self._artifact_folder(self.made[judged.name])
        write_gates(folder, judged, self.job.gates, self.root / places.GATES_FOLDER)

    # ---- what it reads

    def _digests(self) -> dict[str, str]:
        """Reference -> content digest, of everything that a stage of this job may read."""
        return {
            **{f"@{name}": digest for name, digest in self.job.externals.items()},
            **{name: artifact.digest for name, (artifact, _) in self.given.items()},
            **{name: artifact.digest for name, artifact in self.made.items()},
        }

    def place(self, reference: str) -> Path:
        name, inside = split_reference(reference)
        if name.startswith("@"):
            return self.outside[name[1:]]
        if name in self.given:
            return self.given[name][1] / inside
        return self._artifact_folder(self.made[name]) / inside

    def _artifact_folder(self, artifact: Artifact) -> Path:
        """Where an artifact of this job lies here; one that the bucket had already is fetched when it is asked for."""
        folder = self.store.path(artifact.key)
        if not folder.exists():
            with self.store.building(artifact.key) as fetched:
                self.shelf.fetch(artifact, fetched)
                folder.parent.mkdir(parents=True, exist_ok=True)
                fetched.rename(folder)
        return folder

    def _external(self, name: str, digest: str) -> Path:
        channel = self.channels / places.external_channel(name)
        if name == "photographs" and (listing := self.shelf.listing(digest)) is not None:
            if places.S3_VARIABLE not in os.environ and any(stage.kind == "ingest" for stage in self.job.stages):
                require_unchanged(listing)  # all that comes after it holds photographs against their sha256
            return root_of_listed(channel, listing, self.root / "photographs")
        if name == "photographs":
            prefix = os.environ[places.PREFIX_VARIABLE]
            return root_of_own(channel, f"{prefix}/{places.external(name, digest)}")
        if name in places.FOLDERS:
            return channel
        (file,) = sorted(channel.iterdir())
        with file.open("rb") as f:
            if file_digest(f, "sha256").hexdigest() != digest:
                raise IntegrityError(f"{file.name} is not the file that the plan was made for", where=name)
        return file

    # ---- what it may use

    def _scratch(self, key: str) -> Path:
        if self.sort == "processing":
            return self.store.scratch(key)
        kept = self.root / places.CHECKPOINTS / key  # the service keeps it, and brings it back after an interruption
        if self.host.is_first:
            kept.mkdir(parents=True, exist_ok=True)
            return kept
        # The service keeps one such folder for all machines, and only the first may write into it.
        own = self.store.scratch(key)
        if kept.exists():
            shutil.copytree(kept, own, ignore=shutil.ignore_patterns("*.tmp"), dirs_exist_ok=True)
        return own

    def resources(self) -> Resources:
        devices = tuple(range(_num_gpus()))
        return Resources(
            workers=usable_cores(),
            threads=self.job.threads,
            accelerator="cuda" if devices else "cpu",
            devices=devices,
            devices_per_trial=self.job.devices_per_trial,
            num_hosts=1 if self.job.maps else len(self.host.names),
            checkpoint_every_s=self.job.checkpoint_every_s,
            save_now=self.ending.save_now,
        )


def _max_megapixels(stage: Stage) -> float:
    qa: Any = stage.settings["qa"]
    return float(qa["max_megapixels"])


def _bucket() -> Bucket:
    lose_at = os.environ.get(places.LOSE_VARIABLE)
    folder = os.environ.get(places.S3_VARIABLE)
    if lose_at is None or folder is None:
        return bucket_here()
    return LosingBucket(Path(folder) / os.environ[places.BUCKET_VARIABLE], lose_at)


def _num_gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


# ---- what it says


class _Log:
    """A stage's events as lines of the job's log, of progress one every ten seconds."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._last = time.monotonic()

    def progress(self, done: int, total: int, unit: str) -> None:
        if time.monotonic() - self._last >= 10:
            self._last = time.monotonic()
            _log(self._stage, f"{done:,} of {total:,} {unit}")

    def measure(self, step: int, values: Mapping[str, float]) -> None: ...

    def note(self, text: str) -> None:
        _log(self._stage, text)


def _log(stage: Stage, text: str) -> None:
    with suppress(OSError):
        print(f"{stage.name}: {text}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
