"""``serve``: answers for one release, or keeps an endpoint as the registry wants it. Never imports torch."""

from pathlib import Path

from earthsnap_train.errors import ConfigError, NotFoundError
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.job import Serve
from earthsnap_train.spec.run import RunSpec


def run(spec: RunSpec) -> tuple[int, None]:
    """Until it is told to end."""
    job = spec.job
    assert isinstance(job, Serve)
    if (job.release is None) == (job.endpoint is None):
        raise ConfigError(
            "say what is to be served",
            where="release",
            allowed="either a release or an endpoint",
            remedy="earthsnap serve release=plants-7, or earthsnap serve endpoint=prod",
        )
    if job.endpoint is not None:
        from earthsnap_train.serving.front import serve_endpoint

        serve_endpoint(spec, job.family or _only_family(Path(spec.paths.registry)), job.endpoint)
        return 0, None
    from earthsnap_train.serving.server import serve, start_of

    assert job.release is not None
    start = start_of(
        job.release,
        registry=Path(spec.paths.registry),
        journal=Path(spec.paths.journal),
        serving=spec.serving,
        host=job.host,
        port=job.port,
        socket=None if job.socket is None else Path(job.socket),
    )
    serve(start)
    return 0, None


def _only_family(registry: Path) -> str:
    families = sorted({release.family for release in Registry(registry).releases()})
    if len(families) == 1:
        return families[0]
    if not families:
        raise NotFoundError(
            "there is no release yet", where=str(registry), remedy="make one: earthsnap +experiment=plants"
        )
    raise ConfigError("say whose endpoint it is", where="family", allowed=", ".join(families))
