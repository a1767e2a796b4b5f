"""The QA report of a dataset version: ``qa.html`` for people, one file with all it needs, and ``qa.json`` with everything."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

from earthsnap_train.data.manifest import SPLITS, ManifestHeader, ManifestRow
from earthsnap_train.data.qa.facts import Facts
from earthsnap_train.data.qa.findings import MEANINGS, SEVERITIES, Finding, Meaning
from earthsnap_train.data.qa.thumbnails import Thumbnails
from earthsnap_train.data.qa.verdict import OUT, Verdict
from earthsnap_train.spec.dataset import Action
from earthsnap_train.taxonomy import linter
from earthsnap_train.taxonomy.tree import Taxonomy

MOST_SHOWN = 24  # findings of one kind with a picture; of more, every one is in qa.json
MOST_REVIEWED = 200  # lines to paste
PARTS = {"decide": "For you to decide", "out": "Left out", "kept": "Kept, and worth knowing"}
SIZES_PX = (64, 128, 256, 512, 1024, 2048)

_ACTIONS: Mapping[Action, str] = {
    "keep": "kept as it is",
    "fix": "kept, and put right when it is read",
    "convert": "kept, and converted when it is read",
    "resize": "kept, and scaled down when it is read",
    "strip": "kept; nothing made from it carries this",
    "repair": "mended where every pixel is there, else rejected",
    "merge": "kept, under one name",
    "ignore": "passed over",
    "drop_one": "the better one stays, the other is left out",
    "review": "set aside until a person decides",
    "reject": "left out",
}


@dataclass(frozen=True, kw_only=True)
class Overview:
    """``facts``: by path, of every file that was looked at. ``dropped``: too small species and what they had."""

    header: ManifestHeader
    manifest: Sequence[ManifestRow]
    facts: Mapping[str, Facts]
    taxonomy: Taxonomy
    remarks: Sequence[linter.Finding]
    dropped: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One finding with its picture (a data URI, None where there is none) and that of the related file."""

    finding: Finding
    picture: str | None
    related_picture: str | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """All findings of one code. ``part``: of the page. ``lines``: of a reviews file, for photographs that wait."""

    code: str
    meaning: Meaning
    part: str
    action: str
    num: int
    shown: Sequence[Shown]
    lines: Sequence[str]


def write_report(overview: Overview, verdict: Verdict, root: Path, folder: Path, *, max_megapixels: float) -> None:
    """Writes ``qa.html`` and ``qa.json`` into ``folder``; ``root``: where the photographs lie."""
    content = {
        "header": overview.header.model_dump(exclude={"qa"}),
        "dropped_species": dict(overview.dropped),
        "images_by_species": _by_species(overview.manifest),
        "findings": [
            {**_named(finding), "severity": finding.severity, "action": action}
            for finding, action in sorted(verdict.taken.items(), key=lambda item: _order(item[0]))
        ],
        "remarks": [{**asdict(one), "entries": len(one.entries)} for one in overview.remarks],
    }
    (folder / "qa.json").write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    (folder / "qa.html").write_text(_page(overview, verdict, Thumbnails(root, max_megapixels)), "utf-8")


def _page(overview: Overview, verdict: Verdict, thumbnails: Thumbnails) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("earthsnap_train.data.qa", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    groups = _groups(verdict, overview.facts, thumbnails)
    by_species = _by_species(overview.manifest)
    return environment.get_template("qa.html.j2").render(
        header=overview.header,
        num_looked_at=len(overview.facts),
        num_aside=len({finding.path for finding, _ in verdict.quarantined()}),
        num_waiting=len({finding.path for finding, action in verdict.quarantined() if action == "review"}),
        parts=PARTS,
        groups=groups,
        species=_species_sections(overview.taxonomy, by_species),
        most=max((sum(counts.values()) for counts in by_species.values()), default=1),
        splits=SPLITS,
        sizes=_sizes(overview.manifest),
        formats=Counter(row.format for row in overview.manifest).most_common(),
        remarks=[one for one in overview.remarks if one.severity != "info"],
        dropped=overview.dropped,
    )


def _groups(verdict: Verdict, facts: Mapping[str, Facts], thumbnails: Thumbnails) -> list[Group]:
    by_code: dict[str, list[tuple[Finding, Action]]] = defaultdict(list)
    for finding, action in sorted(verdict.taken.items(), key=lambda item: _order(item[0])):
        by_code[finding.code].append((finding, action))
    groups = []
    for code, found in by_code.items():
        findings = [finding for finding, _ in found]
        usual, _ = Counter(action for _, action in found).most_common(1)[0]
        shown = [
            Shown(
                finding=finding,
                picture=thumbnails.of(finding.path, facts),
                related_picture=thumbnails.of(finding.related, facts),
            )
            for finding in findings[:MOST_SHOWN]
        ]
        waiting = [finding for finding, action in found if action == "review"][:MOST_REVIEWED]
        groups.append(
            Group(
                code=code,
                meaning=MEANINGS[findings[0].code],
                part=_part({action for _, action in found}),
                action=_ACTIONS[usual],
                num=len(findings),
                shown=shown,
                lines=[line for finding in waiting for line in _review_lines(finding)],
            )
        )
    return sorted(groups, key=lambda group: tuple(PARTS).index(group.part))


def _part(actions: Collection[Action]) -> str:
    if "review" in actions:
        return "decide"
    return "kept" if OUT.isdisjoint(actions) else "out"


def _review_lines(finding: Finding) -> list[str]:
    reason = finding.detail or MEANINGS[finding.code].title.lower()
    pair = (
        [finding.path] if finding.code != "label_conflict" or not finding.related else [finding.path, finding.related]
    )
    return [f"{_cell(path)},keep,{_cell(reason)}" for path in pair]


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text


def _by_species(manifest: Iterable[ManifestRow]) -> dict[str, dict[str, int]]:
    """Species id -> split -> photographs."""
    counts = Counter((row.species_id, row.split) for row in manifest)
    return {name: {split: counts[name, split] for split in SPLITS} for name in sorted({name for name, _ in counts})}


def _species_sections(
    taxonomy: Taxonomy, by_species: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, list[tuple[str, str, Mapping[str, int]]]]]:
    """(highest taxon, [(species id, scientific name, photographs by split)]), the fullest species of each first."""
    sections: dict[str, list[tuple[str, str, Mapping[str, int]]]] = defaultdict(list)
    for one in taxonomy.species:
        taxon = one.ranks[0][1] if one.ranks else ""
        sections[taxon].append((one.species_id, one.scientific_name, by_species[one.species_id]))
    return [
        (taxon, sorted(species, key=lambda s: (-sum(s[2].values()), s[0])))
        for taxon, species in sorted(sections.items())
    ]


def _sizes(manifest: Iterable[ManifestRow]) -> list[tuple[str, int]]:
    """Photographs by their shorter side."""
    bounds = [0, *SIZES_PX]
    counts = Counter(sum(min(row.width, row.height) >= bound for bound in SIZES_PX) for row in manifest)
    labels = [
        f"{low}-{high - 1} px" if low else f"under {high} px" for low, high in zip(bounds, SIZES_PX, strict=False)
    ]
    return [(label, counts[at]) for at, label in enumerate([*labels, f"{SIZES_PX[-1]} px and more"]) if counts[at]]


def _named(finding: Finding) -> dict[str, object]:
    return {"code": finding.code, "path": finding.path, "related": finding.related, "detail": finding.detail}


def _order(finding: Finding) -> tuple[int, str, str, str]:
    return SEVERITIES.index(finding.severity), finding.code, finding.path, finding.related or ""
