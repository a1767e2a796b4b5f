"""``serve``: answers for one release or several, or keeps an endpoint as the registry wants it. Never imports torch."""

from pathlib import Path

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.job import Serve
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry


def run(spec: RunSpec) -> tuple[int, None]:
    """Until it is told to end."""
    job = spec.job
    assert isinstance(job, Serve)
    if (job.release, job.endpoint, job.models).count(None) != 2:
        raise ConfigError(
            "say what is to be served",
            where="release",
            allowed="one of release, endpoint and models",
            remedy="earthsnap serve release=plants-7, or earthsnap serve endpoint=prod",
        )
    if job.endpoint is not None:
        from earthsnap_train.release.endpoint import family_served
        from earthsnap_train.serving.front import serve_endpoint

        registry = open_registry(spec)
        serve_endpoint(spec, registry, family_served(registry, job.family), job.endpoint)
        return 0, None
    if job.models is not None:
        from earthsnap_train.serving.models_server import serve_models

        socket = None if job.socket is None else Path(job.socket)
        serve_models(Path(job.models), spec.serving, host=job.host, port=job.port, socket=socket)
        return 0, None
    from earthsnap_train.serving.server import serve, start_of

    assert job.release is not None
    start = start_of(
        job.release,
        find=lambda name: open_registry(spec).get(name),
        journal=spec.paths.journal_folder,
        serving=spec.serving,
        host=job.host,
        port=job.port,
        socket=None if job.socket is None else Path(job.socket),
    )
    serve(start)
    return 0, None
