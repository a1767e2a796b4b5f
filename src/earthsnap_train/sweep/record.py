"""``sweep.json``: what a sweep set out to do, and how far it is. Written anew, in one rename, whenever a job changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from earthsnap_train.errors import ConfigError, EnvironmentProblem, IntegrityError, NotFoundError
from earthsnap_train.pipeline.store import write_atomically
from earthsnap_train.sweep.axes import Axis, Values
from earthsnap_train.sweep.settings import PREFIX, SweepSettings

FILE = "sweep.json"
CONF = "conf"
LOCK = ".lock"
MOST_IN_A_SECOND = 1000

State = Literal["waiting", "running", "interrupted", "failed", "done"]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Written):
    """One run. ``folder``: the run's own. ``error``: its first line. ``for_sampler``: what a sampler noted of it."""

    number: int
    values: Values
    state: State = "waiting"
    objectives: dict[str, float] = {}
    release: str = ""
    folder: str = ""
    seconds: float | None = None
    error: str = ""
    for_sampler: dict[str, JsonValue] = {}


class Source(_Written):
    """Where YAML files are composed from. ``place``: a copy in the sweep's folder, or ``pkg://...``."""

    provider: str
    place: str


class SweepRecord(_Written):
    """``overrides``: what is the same in all jobs, in Hydra's words; ``of_hydra``: those that are about Hydra itself.

    ``declared``: settings by dotted key that hold where no axis says otherwise, as far as an axis asks for them.
    """

    version: Literal[1] = 1
    name: str
    started: float
    settings: SweepSettings
    config_name: str
    sources: tuple[Source, ...]
    overrides: tuple[str, ...]
    of_hydra: tuple[str, ...]
    axes: tuple[Axis, ...]
    declared: dict[str, JsonValue]
    jobs: tuple[Job, ...]

    def with_job(self, job: Job) -> "SweepRecord":
        """In the place of the one with this number, or at the end."""
        by_number = {one.number: one for one in self.jobs} | {job.number: job}
        return self.model_copy(update={"jobs": tuple(by_number.values())})

    def write(self, folder: Path) -> None:
        write_atomically(folder / FILE, self.model_dump_json(indent=1).encode())


def read_record(folder: Path) -> SweepRecord:
    """Raises NotFoundError where there is no sweep, IntegrityError where its record is none."""
    file = folder / FILE
    if not file.is_file():
        raise NotFoundError(
            f"there is no sweep in {str(folder)!r}",
            where=f"{PREFIX}resume",
            allowed=f"a folder with {FILE}",
            remedy="the sweep itself says the command that goes on with it; outputs/NAME/sweeps/ has them all",
        )
    try:
        return SweepRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise IntegrityError(
            f"this is not what a sweep writes: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=str(file),
            remedy="begin a new sweep; what its jobs had finished is in the store",
        ) from None


def new_sweep_folder(wanted: Path) -> Path:
    """``wanted``, or the next free name beside it: made by this call alone, however many start at once."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(MOST_IN_A_SECOND):
        folder = wanted if attempt == 0 else wanted.with_name(f"{wanted.name}_{attempt + 1}")
        try:
            # Its owner's alone: to go on, the record needs every override as it was typed, a webhook's address too, and
            # the copies of YAML files may hold one.
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise EnvironmentProblem("a thousand sweeps began in one second", where=str(wanted.parent))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """One process at a time goes on with a sweep; the lock goes with the process, whichever way that ends."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(
            "this sweep is running already", where=str(folder), remedy="wait for it, or stop the other process first"
        ) from None
    try:
        yield
    finally:
        lock.release()


def done_figures(record: SweepRecord) -> Mapping[int, Mapping[str, float]]:
    return {job.number: job.objectives for job in record.jobs if job.state == "done" and job.objectives}
