"""How many machines of each type may work at once, over all that runs in the account."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.steps import Pipeline

# (pipeline, job) -> instance type -> how many machines the job works on at once
Uses = Mapping[tuple[str, str], Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class Share:
    """Of an execution: ``steps`` side by side, None without a limit; ``machines`` that it may then use at once."""

    steps: int | None
    machines: Mapping[str, int]


def require_room(uses: Uses, settings: SageMaker) -> None:
    """Raises ConfigError for a limit under which something would wait for good."""
    for (pipeline, job), own in uses.items():
        for name, num_machines in own.items():
            most = settings.max_instances.get(name)
            if most is not None and num_machines > most:
                raise ConfigError(
                    f"{job} of {pipeline} works on {num_machines} machines of {name} at once",
                    where="launcher.max_instances",
                    allowed=f"{name}: at least {num_machines}",
                    remedy="or fewer of launcher.qa_instances, training.instance_count or trials_at_once",
                )
            # Whoever waits for a machine works on one itself: two runs would wait for each other, and one for itself.
            if most is not None and name == settings.entry.instance_type:
                raise ConfigError(
                    f"{name} is limited, and both the entry pipeline and {job} of {pipeline} work on it",
                    where="launcher.entry.instance_type",
                    allowed="a type that no other job works on, or one that is not in launcher.max_instances",
                )


def share_of(
    pipeline: Pipeline,
    uses: Uses,
    *,
    most: Mapping[str, int],
    busy: Mapping[str, int],
    given: Iterable[Share],
) -> Share | None:
    """What an execution of ``pipeline`` may use now; None where it has to wait.

    ``most``: instance type -> how many at once. ``busy``: what others use. ``given``: shares of executions that run.
    """
    wanted: Counter[str] = Counter()
    largest: Counter[str] = Counter()  # of one job
    for job in pipeline.jobs:
        own = uses[pipeline.name, job.name]
        wanted.update(own)
        largest |= Counter(own)
    capped = [name for name in wanted if name in most]
    if not capped:
        return Share(steps=None, machines={})
    taken: Counter[str] = Counter(busy)
    for share in given:
        taken.update(share.machines)
    free = min((most[name] - taken[name]) // largest[name] for name in capped)
    if free < 1:
        return None
    # A node's jobs follow each other. What prepares for all nodes takes what is free: nothing else waits for it.
    steps = 1 if pipeline.node is not None else free
    return Share(steps=steps, machines={name: min(wanted[name], steps * largest[name]) for name in capped})
