"""``rollout``: takes an approved release to stage, tests it there, and moves production to it step by step."""

import json

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.release.rollout import asked_for
from earthsnap_train.release.standing import aftermath, family_of
from earthsnap_train.spec.job import Rollout
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.driving import conclude, drive
from earthsnap_train.verbs.hosted import follow
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import ORIGIN, say


def run(spec: RunSpec) -> tuple[int, None]:
    """Goes on where an earlier call was stopped. A release that is live already is no error."""
    job = spec.job
    assert isinstance(job, Rollout)
    if (job.release is None) == (job.package is None):
        raise ConfigError(
            "say what is to go live",
            where="release",
            allowed="either a release or a package",
            remedy="earthsnap rollout release=plants-7",
        )
    if job.package is not None:
        return _heed(spec, job.package)
    assert job.release is not None
    conclude(spec, drive(spec, job.release))
    return 0, None


def _heed(spec: RunSpec, arn: str) -> tuple[int, None]:
    """What an event about a package asks for, by what is true now: it may come late, twice, or after another one."""
    from launchers.sagemaker.package import describe, release_of
    from launchers.sagemaker.packages import Packages

    registry = open_registry(spec)
    package = describe(Packages(region=arn.split(":")[3], tags={}), arn)
    release = release_of(package, registry)
    if package.status == "Rejected":
        _take_back(spec, registry, release, package.why or "rejected in the Model Registry")
    elif _is_asked_for(registry, release):
        conclude(spec, drive(spec, release.name))
    elif spec.json_output:
        print(json.dumps({"release": release.name, "at": None}, indent=1))  # noqa: T201
    else:
        words = family_of(registry, release.name).standing(release.name).words
        say(
            {"nothing to do": f"{release.name}: {words}; earthsnap rollout release={release.name} does it all the same"}
        )
    return 0, None


def _is_asked_for(registry: Registry, release: Release) -> bool:
    deployments, family = Deployments(registry.ledger), release.family
    champion = deployments.champion(family)
    return asked_for(
        release.name,
        [entry for entry in registry.ledger.history() if entry.release.rpartition("-")[0] == family],
        {one.name for one in registry.releases(family) if one.state == "Approved"},
        None if champion is None else f"{family}-{champion}",
        deployments.under_way(family),
    )


def _take_back(spec: RunSpec, registry: Registry, release: Release, why: str) -> None:
    """As ``reject`` does; the registry may have heard of it already, and production not."""
    before = family_of(registry, release.name).standing(release.name)
    registry.reject(release.name, why=why, origin=ORIGIN)
    Deployments(registry.ledger).roll_back(release.family, release.number, why=why, origin=ORIGIN)
    follow(spec, registry, release.family)
    after = family_of(registry, release.name)
    if spec.json_output:
        live = after.live.release.name if after.live is not None else None
        print(json.dumps({"release": release.name, "at": "rejected", "live": live}, indent=1))  # noqa: T201
    else:
        say({"rejected": release.name, "production": aftermath(before, after)})
    tell(spec)
