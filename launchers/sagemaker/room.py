"""How many machines of each type may work at once, over all that runs in the account."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from earthsnap_train.spec.launcher import Machine
from launchers.sagemaker.steps import Pipeline


@dataclass(frozen=True, kw_only=True)
class Share:
    """Of an execution: ``steps`` side by side, None without a limit; ``machines`` that it may then use at once."""

    steps: int | None
    machines: Mapping[str, int]


def share_of(
    pipeline: Pipeline,
    machines: Mapping[tuple[str, str], Machine],
    *,
    most: Mapping[str, int],
    busy: Mapping[str, int],
    given: Iterable[Share],
) -> Share | None:
    """What an execution of ``pipeline`` may use now; None where it has to wait.

    ``most``: instance type -> how many at once. ``busy``: what others use. ``given``: shares of executions that run.
    """
    wanted: Counter[str] = Counter()
    for job in pipeline.jobs:
        wanted[machines[pipeline.name, job.name].instance_type] += 1
    capped = [name for name in wanted if name in most]
    if not capped:
        return Share(steps=None, machines={})
    taken: Counter[str] = Counter(busy)
    for share in given:
        taken.update(share.machines)
    free = min(most[name] - taken[name] for name in capped)
    if free < 1:
        return None
    # A node's jobs follow each other. What prepares for all nodes takes what is free: nothing else waits for it.
    steps = 1 if pipeline.node is not None else free
    return Share(steps=steps, machines={name: min(wanted[name], steps) for name in capped})
