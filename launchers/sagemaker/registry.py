"""``registry=sagemaker``: the registry whose catalogue is SageMaker's Model Registry, with everything else in a bucket.

A release is the version of that number in the package group ``<family>-release``. Its files go into the bucket first, by
digest; then its package is made, and those of its nodes; ``release.json`` makes the folder whole; the ledger's row comes
last. Whoever is killed on the way is followed by the next to register the same: each step finds what is there.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from earthsnap_train.models.family import Family
from earthsnap_train.release.catalogue import Decision, State
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.registry import SageMakerRegistry
from launchers.sagemaker import package_requests as requests
from launchers.sagemaker import places
from launchers.sagemaker.bucket import NUM_CONNECTIONS, Bucket, S3Bucket
from launchers.sagemaker.ledger import BucketLedger
from launchers.sagemaker.locks import BucketLocks
from launchers.sagemaker.names import short
from launchers.sagemaker.packages import GROUP, Packages, Version
from launchers.sagemaker.release_files import ReleaseFiles

NODES_FILE = "packages.json"  # which package each node of a release is
STATISTICS_FILE = "statistics.json"  # as the Model Registry shows figures


def open_registry(settings: SageMakerRegistry, root: Path) -> Registry:
    """Raises EnvironmentProblem where boto3 is missing."""
    bucket = S3Bucket(settings.bucket, kms_key=settings.kms_key, region=settings.region)
    place = f"{settings.prefix}/registry"
    locks = BucketLocks(bucket, f"{place}/locks")
    return Registry(
        root,
        ledger=BucketLedger(bucket, f"{place}/registry.sqlite", locks),
        locks=locks,
        catalogue=ModelRegistry(settings, bucket, Packages(region=settings.region, tags=settings.tags)),
    )


class ModelRegistry:
    """The port ``release.catalogue.Catalogue``."""

    def __init__(self, settings: SageMakerRegistry, bucket: Bucket, packages: Packages) -> None:
        self._settings = settings
        self._bucket = bucket
        self._packages = packages
        self._files = ReleaseFiles(bucket, settings.prefix)
        self._versions: dict[tuple[str, int], Version] = {}

    def publish(
        self, family: str, digest: str, folder: Path, *, reasons: Sequence[str], summary: Mapping[str, float],
        lineage: Mapping[str, str], describe: Callable[[int], bytes],
    ) -> int:  # fmt: skip
        about = f"release of {family}, digest {digest}"
        group = release_group(family)
        self._packages.ensure_group(group, f"releases of the family {family}, made by earthsnap_train")
        self._files.upload(family, digest, folder)
        uri = self._uri(family, digest)
        made_of = Family.model_validate_json((folder / "family.json").read_bytes())
        nodes = self._publish_nodes(family, digest, made_of, reasons)
        key = self._files.key(family, digest)
        self._bucket.write(f"{key}/{STATISTICS_FILE}", requests.statistics(summary))
        self._bucket.write(f"{key}/{NODES_FILE}", json.dumps(nodes, indent=1).encode())
        state: State = "Rejected" if reasons else "PendingApproval"
        package = self._packages.ensure(
            group,
            about,
            requests.release_package(
                image=self._settings.serve_image, uri=uri, state=state, family=family, digest=digest, summary=summary,
                lineage=lineage, nodes=nodes, statistics=STATISTICS_FILE, nodes_file=NODES_FILE,
            ),
        )  # fmt: skip
        if reasons and package.state == "Rejected":
            self._packages.decide(package.arn, "Rejected", "; ".join(reasons))
        self._files.complete(family, digest, folder, package.number, describe(package.number))
        return package.number

    def _publish_nodes(self, family: str, digest: str, made_of: Family, reasons: Sequence[str]) -> dict[str, str]:
        """Node -> the ARN of its package. A node that is what it was in an earlier release keeps that one's.

        A new one is born Rejected for those of ``reasons`` that are about its own figures.
        """

        def publish(name: str) -> str:
            node = made_of.nodes[name]
            own = hashlib.sha256(node.model_dump_json().encode()).hexdigest()
            group = node_group(family, name)
            self._packages.ensure_group(group, f"node {name} of the family {family}, made by earthsnap_train")
            head = f"{self._uri(family, digest)}nodes/{name.replace('/', '--')}.onnx"
            missed = [reason for reason in reasons if reason.startswith(f"nodes.{name}.")]
            request = requests.node_package(
                image=self._settings.serve_image, head=head, node=node, digest=own,
                state="Rejected" if missed else "PendingApproval",
            )  # fmt: skip
            package = self._packages.ensure(group, f"node {name} of {family}, digest {own}", request)
            if missed and package.state == "Rejected":
                self._packages.decide(package.arn, "Rejected", "; ".join(missed))
            return package.arn

        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            return dict(zip(made_of.nodes, pool.map(publish, made_of.nodes), strict=True))

    def bring(self, release: Release) -> None:
        self._files.bring(release)

    def attach(self, release: Release, name: str, data: bytes) -> None:
        self._bucket.write_new(f"{self._files.key(release.family, release.digest)}/{name}", data)

    def erase(self, release: Release) -> None:
        self._files.erase(release)

    def states(self, family: str) -> Mapping[int, State]:
        versions = self._packages.versions(release_group(family))
        self._versions |= {(family, one.number): one for one in versions}
        return {one.number: one.state for one in versions}

    def decision(self, release: Release) -> Decision:
        return self._packages.decision(self._arn(release))

    def decide(self, release: Release, state: State, why: str) -> None:
        self._packages.decide(self._arn(release), state, why)

    def _arn(self, release: Release) -> str:
        return self._versions[(release.family, release.number)].arn

    def _uri(self, family: str, digest: str) -> str:
        return f"s3://{self._settings.bucket}/{self._settings.prefix}/{places.release_folder(family, digest)}/"


def release_group(family: str) -> str:
    return short(f"{family}-release", GROUP)


def node_group(family: str, node: str) -> str:
    return short(f"{family}-{node}", GROUP)
