"""``promote``: lets a release that waits in stage go on to production."""

import json

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.spec.job import Promote
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.driving import conclude, drive
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import ORIGIN, say
from launchers.rollout import DrivenElsewhere


def run(spec: RunSpec) -> tuple[int, None]:
    """Writes the decision down, then drives, unless a watch does. Raises ConfigError where the release waits for nothing."""
    job = spec.job
    assert isinstance(job, Promote)
    registry = open_registry(spec)
    release = registry.get(job.release)
    deployments = Deployments(registry.ledger)
    rollout = deployments.under_way(release.family)
    is_live = deployments.champion(release.family) == release.number
    if not is_live and (rollout is None or rollout.release != release.name or rollout.phase == "stage"):
        on_its_way = rollout is not None and rollout.release == release.name
        raise ConfigError(
            f"{release.name} {'is being tested in stage still' if on_its_way else 'does not wait in stage'}",
            where="release",
            allowed="a release that passed its tests and waits for a person",
            remedy=f"earthsnap rollout release={release.name} takes it there",
        )
    if rollout is not None and rollout.release == release.name and rollout.phase == "waiting":
        deployments.advance(rollout, "promoted", said="promoted", origin=ORIGIN)
    try:
        conclude(spec, drive(spec, release.name))
    except DrivenElsewhere:
        if spec.json_output:
            print(json.dumps({"release": release.name, "at": "promoted"}, indent=1))  # noqa: T201
        else:
            say(
                {
                    "promoted": release.name,
                    "next": "another process takes it to production; earthsnap status shows how far",
                }
            )
    return 0, None
