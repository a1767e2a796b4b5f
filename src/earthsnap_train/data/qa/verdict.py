"""What stays and what goes: findings, the declared action of each, and a person's reviews, in this order of force:
a file that cannot be read is out; then a review counts; then the declared action."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.qa.reviews import Review
from earthsnap_train.spec.dataset import Action, FindingCode

Rank = Callable[[str], tuple[Any, ...]]
_ABOUT_ROWS = frozenset(("duplicate_row", "review_relabelled"))
OUT: frozenset[Action] = frozenset(("drop_one", "review", "reject"))


@dataclass(kw_only=True)
class Verdict:
    """Grows finding by finding. ``actions``: as declared; ``reviews``: by path, of the photographs that have one."""

    actions: Mapping[FindingCode, Action]
    reviews: Mapping[str, Review]
    taken: dict[Finding, Action] = field(default_factory=dict)
    _out: dict[str, list[Finding]] = field(default_factory=lambda: defaultdict(list))

    def is_out(self, path: str) -> bool:
        return path in self._out

    def reasons(self, path: str) -> list[Finding]:
        """Why it is out; the first is the first that was found."""
        return self._out.get(path, [])

    def hear(self, findings: Iterable[Finding]) -> None:
        """Findings about one file each."""
        for finding in findings:
            if finding.code in _ABOUT_ROWS:
                self.taken[finding] = self.actions[finding.code]
                continue
            action = self._action(finding)
            self._take(finding, "keep" if action == "drop_one" else action)  # no other one is there to be kept

    def hear_pairs(self, findings: Iterable[Finding], better_first: Rank) -> None:
        """Findings about two files: ``path`` is worth less than ``related``.

        Of a chain of copies the best stays, and after it each that is no copy of one that stays.
        """
        for finding in sorted(findings, key=lambda f: (better_first(f.related or ""), better_first(f.path))):
            action = self._action(finding)
            if finding.code == "duplicate_exact" and action not in OUT:
                action = "drop_one"  # bytes are the identity of a photograph: it cannot be listed twice
            other = finding.related
            assert other is not None
            if action == "drop_one":
                if self.is_out(other) or self.is_out(finding.path):
                    self.taken[finding] = "keep"
                else:
                    self._take(finding, action)
            elif finding.code == "label_conflict" and action in OUT:
                self._take(finding, action)
                if not self._is_kept(other):
                    turned = Finding(code=finding.code, path=other, related=finding.path, detail=finding.detail)
                    self._out[other].append(turned)
            else:
                self._take(finding, action)

    def quarantined(self) -> list[tuple[Finding, Action]]:
        """Every finding that keeps something out of the manifest."""
        found = [(f, self.taken.get(f) or self.actions[f.code]) for fs in self._out.values() for f in fs]
        return [(f, action) for f, action in found if action in OUT]

    def put_out(self, finding: Finding, action: Action) -> None:
        """Whatever a review says."""
        self.taken[finding] = action
        self._out[finding.path].append(finding)

    def _take(self, finding: Finding, action: Action) -> None:
        self.taken[finding] = action
        if action in OUT:
            self._out[finding.path].append(finding)

    def _action(self, finding: Finding) -> Action:
        if finding.undecodable:
            return "reject"
        if self._is_kept(finding.path) and finding.code != "review_rejected":
            return "keep"
        return self.actions[finding.code]

    def _is_kept(self, path: str) -> bool:
        review = self.reviews.get(path)
        return review is not None and review.decision != "reject"
