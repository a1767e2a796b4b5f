"""A release's files in the bucket, as a hosted endpoint loads them: ``<prefix>/releases/<name>/<digest>/``.

``release.json``, which names all others with their digests, goes last and only if there is none yet: where it is, the
release is whole.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from earthsnap_train.errors import IntegrityError

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release
    from launchers.sagemaker.bucket import Bucket

DESCRIPTION = "release.json"
NUM_CONNECTIONS = 8


def key_of(release: "Release", prefix: str) -> str:
    """By name besides digest: what a container calls itself stands in its files."""
    return f"{prefix}/releases/{release.name}/{release.digest}/"


def bring(release: "Release", bucket: "Bucket", *, prefix: str) -> str:
    """Puts the files there where they are not yet; returns the key that all of theirs begin with.

    Raises IntegrityError where files here, or another release of that name and digest there, are not what was registered.
    """
    from earthsnap_train.release.load import verify  # the engine takes its time

    place = key_of(release, prefix)
    content = (release.path / DESCRIPTION).read_bytes()
    there = bucket.read(place + DESCRIPTION)
    if there is None:
        verify(release.path, digest=release.digest)
        names = sorted(json.loads(content)["files"])
        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            list(pool.map(lambda name: bucket.upload(place + name, release.path / name), names))
        if bucket.write_new(place + DESCRIPTION, content):
            return place
        there = bucket.read(place + DESCRIPTION)
    if there != content:
        raise IntegrityError(
            f"another release is called {release.name} there",
            where=f"{place}{DESCRIPTION}",
            remedy="two registries must not share a family's name below one aws.prefix",
        )
    return place
