"""Where the releases of each family stand, in the words of the people who decide."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from earthsnap_train.release.deployments import Deployments, Rollout, Wanted
from earthsnap_train.release.ledger import Entry
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.deployment import EndpointName

Tone = Literal["waiting", "good", "moving", "bad", "quiet"]
DECISIONS = ("registered", "approved", "rejected", "live", "failed", "rolled back")
PHASES = {
    "stage": "being tested in stage",
    "waiting": "tested, waits in stage to be promoted",
    "promoted": "promoted, on its way to production",
    "canary": "answering a share of production",
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One release. ``log``: what was said of it, oldest first; ``rollout``: its latest; ``served``: ``prod, 10 %``."""

    release: Release
    words: str
    tone: Tone
    log: tuple[Entry, ...]
    rollout: Rollout | None
    is_live: bool
    served: tuple[str, ...]

    @property
    def decided(self) -> Entry | None:
        """The last decision about it."""
        return next((entry for entry in reversed(self.log) if entry.action in DECISIONS), None)

    @property
    def is_under_way(self) -> bool:
        return self.rollout is not None and self.rollout.outcome is None

    @property
    def waits_for_a_person(self) -> bool:
        return self.release.state == "PendingApproval" or (
            self.is_under_way and self.rollout is not None and self.rollout.phase == "waiting"
        )


@dataclass(frozen=True, kw_only=True)
class Family:
    """``releases``: newest first. ``back``: what a rollback of the live one would bring back."""

    name: str
    releases: tuple[Standing, ...]
    live: Standing | None
    back: Standing | None
    under_way: Standing | None
    wanted: Mapping[EndpointName, Wanted]

    @property
    def waiting(self) -> list[Standing]:
        return [one for one in self.releases if one.waits_for_a_person]

    def standing(self, name: str) -> Standing:
        return next(one for one in self.releases if one.release.name == name)


def families(registry: Registry, deployments: Deployments, family: str | None = None) -> list[Family]:
    """By name. ``family``: None for all."""
    releases = registry.releases(family)  # first, for it may hear of decisions that then are in the log
    log: dict[str, list[Entry]] = defaultdict(list)
    for entry in registry.ledger.history():
        log[entry.release].append(entry)
    return [
        _family(name, [r for r in releases if r.family == name], log, deployments)
        for name in sorted({release.family for release in releases})
    ]


def family_of(registry: Registry, name: str) -> Family:
    """The family of the release called ``plants-7``. Raises NotFoundError naming the nearest."""
    release = registry.get(name)
    (found,) = families(registry, Deployments(registry.ledger), release.family)
    return found


def aftermath(before: Standing, after: Family) -> str:
    """What became of production when this release was rejected or rolled back; empty where it had no part in it."""
    name = before.release.name
    live = after.live.release.name if after.live is not None else None
    if before.is_under_way:
        return (
            f"its rollout has ended; {f'{live} goes on answering' if live else 'production serves nothing, as before'}"
        )
    if before.is_live and live == name:
        return "it still answers, for nothing came before it that could; earthsnap stop endpoint=prod ends production"
    return f"{live} answers again" if before.is_live else ""


def _family(name: str, releases: list[Release], log: Mapping[str, list[Entry]], deployments: Deployments) -> Family:
    champion, back = deployments.champion(name), deployments.back(name)
    latest = {rollout.number: rollout for rollout in deployments.rollouts(name)}
    endpoints: tuple[EndpointName, ...] = ("stage", "prod")
    wanted = {one: wish for one in endpoints if (wish := deployments.wanted(name, one)) is not None}
    found = {}
    for release in reversed(releases):
        rollout, is_live = latest.get(release.number), release.number == champion
        said = tuple(log.get(release.name, ()))
        words, tone = _words(release, rollout, said, is_live)
        served = tuple(place for one, wish in wanted.items() if (place := _place(one, wish, release.name)))
        found[release.number] = Standing(
            release=release, words=words, tone=tone, log=said, rollout=rollout, is_live=is_live, served=served
        )
    return Family(
        name=name,
        releases=tuple(found.values()),
        live=None if champion is None else found[champion],
        back=None if back is None else found[back],
        under_way=next((one for one in found.values() if one.is_under_way), None),
        wanted=wanted,
    )


def _place(endpoint: EndpointName, wish: Wanted, name: str) -> str:
    if name == wish.stable:
        return endpoint
    if name == wish.canary:
        return f"{endpoint}, {100 * wish.share:.3g} % of requests" if wish.share else f"{endpoint}, unseen"
    return f"{endpoint}, standing by" if name == wish.standby else ""


def _words(release: Release, rollout: Rollout | None, said: tuple[Entry, ...], is_live: bool) -> tuple[str, Tone]:
    if rollout is not None and rollout.outcome is None:
        return PHASES[rollout.phase], "waiting" if rollout.phase == "waiting" else "moving"
    if is_live:
        return ("live, though rejected" if release.state == "Rejected" else "live"), "good"
    if release.state == "PendingApproval":
        return "waits for approval", "waiting"
    decisions = [entry.action for entry in said if entry.action in DECISIONS]
    if release.state == "Rejected":
        return ("rejected" if "rejected" in decisions else "rejected by its gates"), "bad"
    last = decisions[-1] if decisions else "approved"
    if last == "approved":
        return "approved, not rolled out yet", "moving"
    if last == "live":
        return "was live before", "quiet"
    return ("rolled back" if last == "rolled back" else "its rollout failed"), "bad"
