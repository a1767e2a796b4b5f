"""``reject``: says that a release must not go live; a live one is replaced by what was live before it."""

import json

from earthsnap_train.release.standing import aftermath, family_of
from earthsnap_train.spec.job import Reject
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.hosted import follow
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import ORIGIN, say


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Reject)
    registry = open_registry(spec)
    before = family_of(registry, job.release).standing(job.release)
    changed = registry.reject(job.release, why=job.why, origin=ORIGIN)
    after = family_of(registry, job.release)
    if (
        before.is_live or before.is_under_way or not changed
    ):  # an earlier call may have ended before production followed
        follow(spec, registry, after.name)
    production = aftermath(before, after)
    if spec.json_output:
        decision = registry.decision(job.release)
        assert decision is not None
        live = after.live.release.name if after.live is not None else None
        found = {"release": job.release, "changed": changed, "decision": decision.model_dump(), "live": live}
        print(json.dumps(found, indent=1))  # noqa: T201
    elif changed:
        say({"rejected": job.release, "production": production})
    else:
        earlier = f"{job.release} was rejected before{registry.by_whom(job.release)}"
        say({"no change": earlier, "production": production})
    tell(spec)
    return 0, None
