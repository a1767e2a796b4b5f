"""``stop``: ends an endpoint of this machine."""

import json
from pathlib import Path

from earthsnap_train.release.endpoint import family_served
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.job import Stop
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from launchers.endpoint import stop


def run(spec: RunSpec) -> tuple[int, None]:
    assert isinstance(spec.job, Stop)
    family = family_served(open_registry(spec), spec.job.family)
    ran = stop(Place(Path(spec.paths.registry), family, spec.job.endpoint))
    if spec.json_output:
        print(json.dumps({"family": family, "endpoint": spec.job.endpoint, "stopped": ran}))  # noqa: T201
    else:
        print(f"the endpoint {spec.job.endpoint} of {family} {'has ended' if ran else 'did not run'}")  # noqa: T201
    return 0, None
