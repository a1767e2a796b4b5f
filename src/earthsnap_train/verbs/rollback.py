"""``rollback``: takes a release out of production, or back from half way there."""

import json

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.standing import aftermath, family_of
from earthsnap_train.spec.job import Rollback
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.hosted import follow
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import ORIGIN, say


def run(spec: RunSpec) -> tuple[int, None]:
    """Raises ConfigError where there is nothing to take back, or nothing to go back to."""
    job = spec.job
    assert isinstance(job, Rollback)
    registry = open_registry(spec)
    family = family_of(registry, job.release)
    before = family.standing(job.release)
    Deployments(registry.ledger).roll_back(family.name, before.release.number, why=job.why, origin=ORIGIN)
    follow(spec, registry, family.name)
    after = family_of(registry, job.release)
    live = after.live.release.name if after.live is not None else None
    if not before.is_under_way and live == job.release:
        raise ConfigError(
            "it stays live, for nothing came before it that could answer instead",
            where=f"release={job.release}",
            remedy="earthsnap stop endpoint=prod ends production; a release that goes live replaces it",
        )
    if not before.is_under_way and not before.is_live:
        there = (family.under_way, family.live)
        raise ConfigError(
            f"it is neither live nor on its way there: {before.words}",
            where=f"release={job.release}",
            allowed=", ".join(f"{one.release.name} ({one.words})" for one in there if one is not None) or "none, now",
        )
    if spec.json_output:
        print(json.dumps({"release": job.release, "live": live}, indent=1))  # noqa: T201
    else:
        say({"rolled back": job.release, "production": aftermath(before, after)})
    tell(spec)
    return 0, None
