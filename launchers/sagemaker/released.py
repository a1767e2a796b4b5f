"""Sees to it that a release's files are in the bucket, where hosted endpoints load them: ``registry=local`` has put none there.

``release.json``, which names all others with their digests, goes last: where it is, the release is whole.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from earthsnap_train.errors import IntegrityError
from launchers.sagemaker.release_files import RELEASE_FILE, ReleaseFiles

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release
    from launchers.sagemaker.bucket import Bucket

_WHICH = ("family", "number", "digest")  # what a container calls itself is in its files, too


def bring(release: "Release", bucket: "Bucket", *, prefix: str) -> None:
    """Puts the files there where they are not yet, and takes away what was forgotten here since.

    Raises IntegrityError where files here, or another release of that digest there, are not what was registered.
    """
    from earthsnap_train.release.load import verify  # the engine takes its time

    files = ReleaseFiles(bucket, prefix)
    place = files.key(release.family, release.digest)
    content = (release.path / RELEASE_FILE).read_bytes()
    there = bucket.read(f"{place}/{RELEASE_FILE}")
    if there == content:
        return
    here = json.loads(content)
    ours: Mapping[str, str] = here["files"]
    if there is None:
        verify(release.path, digest=release.digest)
        files.upload(release.family, release.digest, release.path, sorted(ours))
        if not bucket.write_new(f"{place}/{RELEASE_FILE}", content):  # somebody was faster
            bring(release, bucket, prefix=prefix)
        return
    registered = json.loads(there)
    if any(registered.get(key) != here[key] for key in _WHICH):
        raise IntegrityError(
            f"the files of {release.name} are those of another release there",
            where=f"{place}/{RELEASE_FILE}",
            remedy="two registries must not share a family's name below one aws.prefix",
        )
    theirs: Mapping[str, str] = registered["files"]
    if theirs.keys() < ours.keys():
        return  # forgotten there, of which this machine has not heard yet
    verify(release.path, digest=release.digest)
    changed = sorted(name for name, digest in ours.items() if theirs.get(name) != digest)
    files.upload(release.family, release.digest, release.path, changed)
    for name in theirs.keys() - ours.keys():
        bucket.remove(f"{place}/{name}")
    bucket.purge(f"{place}/")  # before what tells that all is done
    bucket.write(f"{place}/{RELEASE_FILE}", content)
    bucket.purge(f"{place}/{RELEASE_FILE}")
