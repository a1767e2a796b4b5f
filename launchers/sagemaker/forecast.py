"""What a plan's pipelines would be: which jobs on which machines, for how long and, with a list of prices, for how much.

Nothing is asked of AWS, so that what the bucket has already is not known: every job counts as if it had to run, for as
long as its stages took here. Where that is not known, the limit of its time counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from earthsnap_train.errors import ConfigError
from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.resolve import State, resolve
from earthsnap_train.pipeline.store import Store, write_atomically
from earthsnap_train.spec.launcher import Machine, SageMaker
from launchers.sagemaker.definition import Compiled, compile_definitions
from launchers.sagemaker.machines import num_machines_of
from launchers.sagemaker.prices import Prices, read_prices
from launchers.sagemaker.steps import Job, Pipeline
from launchers.sagemaker.strategy import tuning_config
from launchers.sagemaker.tuning import BEST, FIND

NO_PRICES = "What it costs is not known: launcher.prices names no list of prices (docs/sagemaker.md)."


@dataclass(frozen=True, kw_only=True)
class JobTime:
    """``seconds`` of machines: with starting; None where its stages never ran. ``most_s``: its limit, starting included.

    Both are of all its machines. ``count``: jobs that it takes, each of ``num_machines``; so many ``at_once``. ``before``: jobs
    that have to end first.
    """

    pipeline: str
    job: str
    instance_type: str
    seconds: float | None
    most_s: float
    before: tuple[str, ...]
    count: int = 1
    at_once: int = 1
    num_machines: int = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """Of one pipeline. ``seconds`` of machines, None where it is not known of all."""

    name: str
    num_jobs: int
    machines: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    compiled: Compiled
    jobs: tuple[JobTime, ...]
    folder: str
    start_s: float
    prices: Prices | None

    @property
    def is_known(self) -> bool:
        return all(job.seconds is not None for job in self.jobs)

    @property
    def hours(self) -> float:
        """Of machines: as they took here, or at most."""
        return sum(self._seconds(job) for job in self.jobs) / 3600

    @property
    def cost(self) -> float | None:
        """At on-demand prices, which spot capacity stays below; None without a list of prices."""
        if self.prices is None:
            return None
        return sum(self._seconds(job) / 3600 * self.prices.per_hour[job.instance_type] for job in self.jobs)

    @property
    def elapsed_s(self) -> float:
        """From start to end: data, searches that are shared, nodes side by side, release; jobs as soon as they can."""
        longest: dict[int, float] = {}
        for pipeline in self.compiled.pipelines:
            phase = self._phase(pipeline)
            longest[phase] = max(longest.get(phase, 0.0), self._longest_way(pipeline))
        return sum(longest.values())

    def _phase(self, pipeline: Pipeline) -> int:
        if pipeline.node is not None:
            return 2
        first, *_, last = self.compiled.pipelines
        return {first.name: 0, last.name: 3}.get(pipeline.name, 1)

    def _longest_way(self, pipeline: Pipeline) -> float:
        jobs = [job for job in self.jobs if job.pipeline == pipeline.name]
        seconds = {job.job: self._seconds(job) / (job.at_once * job.num_machines) for job in jobs}
        before = {job.job: job.before for job in jobs}
        ended: dict[str, float] = {}
        for name in TopologicalSorter(before).static_order():
            ended[name] = seconds[name] + max((ended[one] for one in before[name]), default=0.0)
        return max(ended.values(), default=0.0)

    def _seconds(self, job: JobTime) -> float:
        return job.seconds if self.is_known and job.seconds is not None else job.most_s

    def rows(self) -> list[Row]:
        rows = []
        for pipeline in self.compiled.pipelines:
            jobs = [job for job in self.jobs if job.pipeline == pipeline.name]
            counts: Counter[str] = Counter()
            for job in jobs:
                counts[job.instance_type] += job.count * job.num_machines
            known = [job.seconds for job in jobs if job.seconds is not None]
            rows.append(
                Row(
                    name=pipeline.name,
                    num_jobs=sum(job.count for job in jobs),
                    machines=", ".join(f"{count} x {name}" for name, count in counts.items()),
                    seconds=sum(known) if len(known) == len(jobs) else None,
                )
            )
        return rows

    def lines(self) -> list[str]:
        num_jobs = sum(job.count for job in self.jobs)
        what = f"{num_jobs} jobs in {len(self.compiled.pipelines)} pipelines"
        if self.is_known:
            starting = short_time(self.start_s * num_jobs)
            told = [
                f"{what}, about {self.hours:.1f} hours of machines at the pace of this one, {starting} of it starting.",
                f"From start to end about {short_time(self.elapsed_s)}, where nothing waits for a machine.",
            ]
        else:
            limits = f"their limits allow {self.hours:,.0f} hours"
            told = [f"{what}. How long they take is not known before the first run here; {limits}."]
        return [*told, self._cost_line(), f"Written to {self.folder}/. Nothing was started."]

    def _cost_line(self) -> str:
        if self.prices is None or self.cost is None:
            return NO_PRICES
        about = "about" if self.is_known else "at most"
        prices = f"on-demand prices of {self.prices.region} on {self.prices.date}, from {self.prices.source}"
        return f"It costs {about} {self.cost:,.2f} {self.prices.currency}, without storage ({prices})."

    def as_json(self) -> dict[str, object]:
        return {
            "folder": self.folder,
            "pipelines": {
                r.name: {"jobs": r.num_jobs, "machines": r.machines, "seconds": r.seconds} for r in self.rows()
            },
            "machine_hours": round(self.hours, 3),
            "machine_hours_are": "estimated" if self.is_known else "limits",
            "elapsed_s": round(self.elapsed_s) if self.is_known else None,
            "cost": None if self.cost is None else round(self.cost, 2),
            "currency": None if self.prices is None else self.prices.currency,
        }


def forecast(plan: Plan, states: Mapping[str, State], settings: SageMaker) -> Forecast:
    """Raises ConfigError for what cannot be compiled, for prices that do not fit, and for more than ``max_cost``."""
    compiled = compile_definitions(plan, settings)
    start_s = settings.start_minutes * 60
    jobs = [
        time
        for pipeline in compiled.pipelines
        for job in pipeline.jobs
        for time in _times(
            pipeline.name, job, compiled.machines[pipeline.name, job.name], _work_s(job, states), settings
        )
    ]
    needed = {job.instance_type for job in jobs}
    prices = read_prices(Path(settings.prices), region=settings.region, needed=needed) if settings.prices else None
    found = Forecast(compiled=compiled, jobs=tuple(jobs), folder=settings.definitions, start_s=start_s, prices=prices)
    _require_cheap(found, settings.max_cost)
    return found


def require_cheap(plan: Plan, store: Store, settings: SageMaker) -> None:
    """Raises ConfigError where a plan may cost more than ``max_cost``; one of which nothing has to run costs nothing."""
    states = resolve(plan, store)
    if settings.max_cost is not None and any(state.status != "cached" for state in states.values()):
        forecast(plan, states, settings)


def write_definitions(compiled: Compiled, folder: Path) -> None:
    """One file for each pipeline. Those of other families, and of pipelines that are no more, are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in compiled.definitions.items():
        write_atomically(folder / f"{name}.json", f"{text}\n".encode())


def _times(pipeline: str, job: Job, machine: Machine, work_s: float | None, settings: SageMaker) -> Iterator[JobTime]:
    """One, and of a search by the service's own tuning also the small jobs around its trials."""
    start_s = settings.start_minutes * 60
    count, at_once, num_machines, before = 1, 1, 1, job.before
    if job.on == "tuning":
        limits = tuning_config(job.stages[0], at_once=settings.trials_at_once)["ResourceLimits"]
        count, at_once = limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]
        most_s = settings.processing.max_minutes * 60 + start_s
        small: tuple[tuple[str, tuple[str, ...]], ...] = ((FIND, ()), (BEST, (job.name,)))
        for part, waits in small:
            yield JobTime(
                pipeline=pipeline,
                job=f"{job.name}-{part}",
                instance_type=settings.processing.instance_type,
                seconds=start_s,
                most_s=most_s,
                before=waits,
            )
        before = (f"{job.name}-{FIND}",)
    else:
        num_machines = num_machines_of(job, machine, settings)
        if work_s is not None and not job.maps:
            work_s *= num_machines  # it is not known how much sooner several are ready
    yield JobTime(
        pipeline=pipeline,
        job=job.name,
        instance_type=machine.instance_type,
        seconds=None if work_s is None else work_s + count * num_machines * start_s,
        most_s=count * num_machines * (machine.max_minutes * 60 + start_s),
        before=before,
        count=count,
        at_once=at_once,
        num_machines=num_machines,
    )


def _work_s(job: Job, states: Mapping[str, State]) -> float | None:
    seconds = [states[stage.name].seconds for stage in job.stages]
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def _require_cheap(found: Forecast, max_cost: float | None) -> None:
    if max_cost is None:
        return
    if found.cost is None or found.prices is None:
        raise ConfigError(
            "what the plan costs is not known without prices",
            where="launcher.max_cost",
            remedy="launcher.prices names a list of them; docs/sagemaker.md describes it",
        )
    if found.cost > max_cost:
        sort = "costs about" if found.is_known else "may cost up to"
        raise ConfigError(
            f"the plan {sort} {found.cost:,.2f} {found.prices.currency}",
            where="launcher.max_cost",
            allowed=f"{max_cost:,.2f}",
            remedy="launcher.fuse=true, smaller machines or shorter limits (max_minutes) cost less",
        )
