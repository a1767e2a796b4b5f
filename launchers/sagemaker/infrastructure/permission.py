"""One row of the table of permissions: who may do what, on what, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from launchers.sagemaker.infrastructure.site import Principal, Site

AskedBy = Literal["us", "service"]


@dataclass(frozen=True, kw_only=True)
class Permission:
    """``on``: ARNs; ``*`` alone only for what knows no resources. ``when``: the condition of the statement.

    ``asked_by`` tells who calls: ``us``, by a client that a test can listen to, or the ``service``, which acts as our role.
    """

    who: tuple[Principal, ...]
    may: tuple[str, ...]
    on: tuple[str, ...]
    because: str
    asked_by: AskedBy = "us"
    when: Mapping[str, Any] | None = None


def passing(
    site: Site, *, who: tuple[Principal, ...], role: Principal, because: str, asked_by: AskedBy = "us"
) -> Permission:
    return Permission(
        who=who, may=("iam:PassRole",), on=(site.role_arn(role),), because=because, asked_by=asked_by,
        when={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )  # fmt: skip
