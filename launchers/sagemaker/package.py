"""A package of the Model Registry, and the release that it stands for: always the very one that an event names."""

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import NotFoundError
from earthsnap_train.release.registry import Registry, Release
from launchers.sagemaker.packages import Packages

Status = Literal["Approved", "Rejected", "PendingManualApproval"]


class Package(BaseModel):
    """Digest, family and number are the release's, as whoever registered it wrote them; ``status`` is today's."""

    model_config = ConfigDict(frozen=True)

    arn: str
    status: Status
    why: str
    digest: str
    family: str | None
    number: str | None


def describe(packages: Packages, arn: str) -> Package:
    """Raises NotFoundError where there is no such package, or it stands for no release."""
    said = packages.described(arn)
    about = said.get("CustomerMetadataProperties", {})
    if "digest" not in about:
        raise NotFoundError(
            "this model package stands for no release: it does not say a digest",
            where=f"package={arn}",
            remedy="earthsnap releases lists those that can go live",
        )
    return Package(
        arn=arn,
        status=cast(Status, said.get("ModelApprovalStatus", "PendingManualApproval")),
        why=said.get("ApprovalDescription", ""),
        digest=about["digest"],
        family=about.get("family"),
        number=about.get("number"),
    )


def release_of(package: Package, registry: Registry) -> Release:
    """Raises NotFoundError where the registry has no such release, or more than one that it could be."""
    found = [
        release
        for release in registry.releases(package.family)
        if release.digest == package.digest
        and package.family in (None, release.family)
        and package.number in (None, str(release.number))
    ]
    if len(found) != 1:
        names = ", ".join(release.name for release in found)
        raise NotFoundError(
            f"{names} are all of its digest" if found else f"no release here has the digest {package.digest[:12]}",
            where=f"package={package.arn}",
            remedy="name the release instead: earthsnap rollout release=NAME",
        )
    return found[0]
