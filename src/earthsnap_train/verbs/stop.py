"""``stop``: ends an endpoint of this machine, or what a run has started on SageMaker."""

import json
from pathlib import Path

from earthsnap_train.errors import ConfigError, NotFoundError, did_you_mean
from earthsnap_train.release.endpoint import family_served
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.job import Stop
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from launchers.endpoint import stop
from launchers.sagemaker.stop import stop_run


def run(spec: RunSpec) -> tuple[int, None]:
    assert isinstance(spec.job, Stop)
    if (spec.job.endpoint is None) == (spec.job.run is None):
        raise ConfigError(
            "say what is to end", where="stop", allowed="endpoint=stage, endpoint=prod, or run=NAME of a run's folder"
        )
    told, said = _stop_endpoint(spec, spec.job) if spec.job.run is None else _stop_run(spec, spec.job.run)
    print(json.dumps(told) if spec.json_output else said)  # noqa: T201
    return 0, None


def _stop_endpoint(spec: RunSpec, job: Stop) -> tuple[dict[str, object], str]:
    assert job.endpoint is not None
    family = family_served(open_registry(spec), job.family)
    ran = stop(Place(Path(spec.paths.registry), family, job.endpoint))
    told = {"family": family, "endpoint": job.endpoint, "stopped": ran}
    return told, f"the endpoint {job.endpoint} of {family} {'has ended' if ran else 'did not run'}"


def _stop_run(spec: RunSpec, name: str) -> tuple[dict[str, object], str]:
    folder = _folder(Path(spec.paths.outputs), name)
    stopped = stop_run(folder)
    said = f"{', '.join(stopped)} of {folder.name} end now" if stopped else f"nothing of {folder.name} runs elsewhere"
    return {"run": folder.name, "stopped": stopped}, said


def _folder(outputs: Path, name: str) -> Path:
    if (Path(name) / "config.json").is_file():
        return Path(name)
    known = {path.parent.name: path.parent for path in sorted(outputs.glob("*/*/config.json"))}
    if name not in known:
        raise NotFoundError(
            f"there is no run {name!r}",
            where=str(outputs),
            allowed=", ".join(list(known)[-5:]),
            remedy=did_you_mean(name, known),
        )
    return known[name]
