"""``approve``: says that a release may go live."""

import json

from earthsnap_train.release.locks import watching
from earthsnap_train.release.standing import Standing, family_of
from earthsnap_train.spec.job import Approve
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import ORIGIN, say


def run(spec: RunSpec) -> tuple[int, None]:
    """Approving twice changes nothing, and says who did it and when."""
    job = spec.job
    assert isinstance(job, Approve)
    registry = open_registry(spec)
    changed = registry.approve(job.release, why=job.why, anyway=job.anyway, origin=ORIGIN)
    standing = family_of(registry, job.release).standing(job.release)
    is_watched = watching(registry.locks)
    if spec.json_output:
        decision = registry.decision(job.release)
        assert decision is not None
        found = {"release": job.release, "changed": changed, "decision": decision.model_dump(), "watching": is_watched}
        print(json.dumps(found, indent=1))  # noqa: T201
    elif changed:
        say({"approved": job.release, "next": _next(standing, starts_by_itself=is_watched)})
    else:
        earlier = f"{job.release} was approved before{registry.by_whom(job.release)}"
        say({"no change": earlier, "next": _next(standing, starts_by_itself=False)})
    return 0, None


def _next(standing: Standing, *, starts_by_itself: bool) -> str:
    name = standing.release.name
    if standing.is_live or standing.is_under_way:
        return f"it is {standing.words}; earthsnap status shows how far" if standing.is_under_way else "it is live"
    if starts_by_itself:
        return "the running watch takes it to stage, tests it there and moves production to it; earthsnap status shows how far"
    return f"earthsnap rollout release={name}"
