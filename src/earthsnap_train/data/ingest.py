"""Stage ``ingest``: photographs in, a checked, split and versioned manifest out.

Writes ``manifest.parquet``, ``quarantine.parquet``, ``taxonomy.parquet`` and ``manifest.json``, and for people and later
runs ``notes/facts.parquet``, ``notes/qa.json`` and ``notes/qa.html``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from earthsnap_train.context import Context
from earthsnap_train.data.limit import limited
from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    TAXONOMY_FILE,
    ManifestRow,
    QuarantineRow,
    header_of,
    read_manifest,
    write_header,
    write_manifest,
    write_quarantine,
)
from earthsnap_train.data.originals import keep_originals
from earthsnap_train.data.qa.checks import (
    better_first,
    file_findings,
    name_findings,
    pair_findings,
    pairs_of_one_photograph,
)
from earthsnap_train.data.qa.facts import Facts
from earthsnap_train.data.qa.facts_table import made_with, write_facts
from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.qa.look import look_at
from earthsnap_train.data.qa.names import Names
from earthsnap_train.data.qa.report import Overview, write_report
from earthsnap_train.data.qa.reviews import about_reviews, by_path, read_reviews
from earthsnap_train.data.qa.verdict import Rank, Verdict
from earthsnap_train.data.source import Listing, Row, list_source
from earthsnap_train.data.split import Photograph, Placement, SplitResult, assign_splits
from earthsnap_train.errors import DataError
from earthsnap_train.spec.dataset import Limit, Positive, Qa, Source, Split
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.taxonomy import TaxonomySpec

MOST_LISTED = 12


class Settings(SpecModel):
    """``first_ids``: of species that were renamed; see ``taxonomy.names.first_ids``."""

    source: Source
    qa: Qa
    split: Split
    limit: Limit
    min_images_per_species: Positive
    too_few: Literal["stop", "drop"]
    keep_originals: Literal["none", "hardlink", "copy"]
    taxonomy: TaxonomySpec
    first_ids: dict[str, str] = Field(default={})


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    """Inputs: ``photographs`` (a folder), and where there are such ``table``, ``species_table``, ``reviews``,
    ``forgotten`` (image ids, one a line) and ``base``: an earlier artifact of this stage: its
    photographs keep their split."""
    s = Settings.model_validate(settings)
    root = inputs["photographs"]
    listing = limited(list_source(s.source, root, inputs.get("table"), inputs.get("species_table")), s.limit)
    previous = read_manifest(inputs["base"] / MANIFEST_FILE) if "base" in inputs else ()
    old = {row.image_id: Placement(row.split, row.cluster_id) for row in previous}

    rows = {row.path: row for row in listing.rows}
    paths = sorted({*rows, *listing.unlisted})
    facts = look_at(root, paths, listing.files, max_megapixels=s.qa.max_megapixels, context=context)
    forgotten = set(inputs["forgotten"].read_text().split()) if "forgotten" in inputs else set()
    # As if it had never been there: a forgotten photograph is in no list, on no page and in no later run's notes.
    facts = {path: its for path, its in facts.items() if its.sha256 not in forgotten}
    paths = [path for path in paths if path in facts]
    rows = {path: row for path, row in rows.items() if path in facts}

    written = read_reviews(inputs.get("reviews"))
    reviews = by_path(written, {path: facts[path].sha256 for path in paths})
    names = Names(listing.rows, reviews, s.taxonomy, s.first_ids)
    verdict = Verdict(actions=s.qa.actions, reviews=reviews)
    verdict.hear(listing.findings)
    verdict.hear(about_reviews(written, reviews))
    verdict.hear(finding for path in paths for finding in file_findings(path, facts[path], s.qa))
    verdict.hear(name_findings(paths))
    verdict.hear(names.findings)

    left = {path: facts[path] for path in paths if path in names.of and not verdict.is_out(path)}
    context.events.note(f"comparing {len(left):,} photographs with one another")
    pairs = pairs_of_one_photograph(left, s.qa)
    user_split = {path: rows[path].split if path in rows else None for path in left}
    key = better_first(left, user_split, old)
    verdict.hear_pairs(pair_findings(pairs, left, names.of, user_split, key), key)

    _list_once(left, key, verdict)

    dropped = _too_few(names.of, [path for path in left if not verdict.is_out(path)], verdict, s)
    path_of = {facts[path].sha256: path for path in left if not verdict.is_out(path)}
    photographs = [_photograph(image_id, names.of[path], rows.get(path)) for image_id, path in path_of.items()]
    result = assign_splits(photographs, _linked(pairs, facts, path_of), old, s.split)
    verdict.hear(_split_findings(result, path_of))

    manifest = [
        _manifest_row(path_of[image_id], rows, names.of, facts, place, listing, s.source)
        for image_id, place in result.placements.items()
        if not verdict.is_out(path_of[image_id])
    ]
    quarantine = [
        QuarantineRow(
            path=f.path, code=f.code, severity=f.severity, action=action, related=f.related, detail=f.detail or None
        )
        for f, action in verdict.quarantined()
    ]
    taxonomy = names.taxonomy_of(row.uri for row in manifest)
    header = header_of(manifest, quarantine, s.qa.model_dump(mode="json"))
    write_manifest(manifest, out / MANIFEST_FILE)
    write_quarantine(quarantine, out / QUARANTINE_FILE)
    taxonomy.write(out / TAXONOMY_FILE)
    write_header(header, out / HEADER_FILE)

    notes = out / "notes"
    notes.mkdir()
    write_facts(notes / "facts.parquet", facts, listing.files, made_with=made_with(s.qa.max_megapixels))
    keep_originals(s.keep_originals, manifest, root, out)
    overview = Overview(
        header=header, manifest=manifest, facts=facts, taxonomy=taxonomy, remarks=names.remarks, dropped=dropped
    )
    write_report(overview, verdict, root, notes, max_megapixels=s.qa.max_megapixels)
    num_aside = len({row.path for row in quarantine})
    context.events.note(f"{len(manifest):,} photographs of {header.num_species} species; {num_aside:,} files set aside")


def _list_once(left: Mapping[str, Facts], key: Rank, verdict: Verdict) -> None:
    """Bytes are the identity of a photograph: where reviews keep both of two labels, the better file stands for it."""
    first: dict[str, str] = {}
    for path in sorted((path for path in left if not verdict.is_out(path)), key=key):
        kept = first.setdefault(left[path].sha256, path)
        if kept != path:
            detail = "both files were kept, but the same bytes cannot be listed twice"
            verdict.put_out(Finding(code="duplicate_exact", path=path, related=kept, detail=detail), "drop_one")


def _photograph(image_id: str, species_id: str, row: Row | None) -> Photograph:
    observation_id, split = (row.observation_id, row.split) if row else (None, None)
    return Photograph(image_id, species_id, observation_id, split)


def _linked(
    pairs: Iterable[tuple[str, str, str]], facts: Mapping[str, Facts], path_of: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Image ids of photographs that stay and are copies of each other, or of one that does not stay."""
    others: dict[str, list[str]] = defaultdict(list)
    for a, b, _ in pairs:
        image_a, image_b = facts[a].sha256, facts[b].sha256
        if image_a in path_of and image_b in path_of:
            yield image_a, image_b
        for dropped, stays in ((image_a, image_b), (image_b, image_a)):
            if dropped not in path_of and stays in path_of:
                others[dropped].append(stays)
    for first, *rest in others.values():
        for other in rest:
            yield first, other


def _too_few(species: Mapping[str, str], left: Sequence[str], verdict: Verdict, s: Settings) -> dict[str, int]:
    """Species with fewer photographs than they must have, and how many those are; or DataError."""
    listed, counts = Counter(species.values()), Counter(species[path] for path in left)
    few = {name: counts[name] for name in sorted(listed) if counts[name] < s.min_images_per_species}
    if few and s.too_few == "stop":
        lines = [f"{name}: {num} of {listed[name]}{_why(name, species, verdict)}" for name, num in few.items()]
        if len(lines) > MOST_LISTED:
            lines[MOST_LISTED:] = [f"and {len(lines) - MOST_LISTED} more"]
        raise DataError(
            f"{len(few)} of {len(listed)} species have too few photographs left:\n    " + "\n    ".join(lines),
            where="dataset.min_images_per_species",
            allowed=f"At least {s.min_images_per_species} good photographs of each species.",
            remedy="Add photographs, leave these species out with dataset.too_few=drop, or lower the number.",
        )
    if len(few) == len(listed):
        raise DataError(
            f"no species has {s.min_images_per_species} photographs left",
            where="dataset.min_images_per_species",
            remedy="Add photographs, or lower the number.",
        )
    for path in left:
        if species[path] in few:
            detail = f"{species[path]} has {few[species[path]]}, fewer than {s.min_images_per_species}"
            verdict.put_out(Finding(code="too_few", path=path, detail=detail), "reject")
    return few


def _why(name: str, species: Mapping[str, str], verdict: Verdict) -> str:
    reasons = Counter(
        verdict.reasons(path)[0].code for path, of in species.items() if of == name and verdict.is_out(path)
    )
    return f" ({', '.join(f'{code} {num}' for code, num in reasons.most_common(4))})" if reasons else ""


def _split_findings(result: SplitResult, path_of: Mapping[str, str]) -> Iterator[Finding]:
    for one in result.findings:
        related = path_of[one.related[0]] if one.related else None
        yield Finding(code=one.code, path=path_of[one.image_id], related=related, detail=one.detail)
    for short in result.short:
        detail = f"{short.num_photographs} in {short.split}"
        yield Finding(code="few_in_split", path=short.species_id, detail=detail)


def _manifest_row(
    path: str,
    rows: Mapping[str, Row],
    species: Mapping[str, str],
    facts: Mapping[str, Facts],
    place: Placement,
    listing: Listing,
    source: Source,
) -> ManifestRow:
    row, fact = rows.get(path), facts[path]
    return ManifestRow(
        image_id=fact.sha256,
        uri=path,
        species_id=species[path],
        observation_id=row.observation_id if row else None,
        cluster_id=place.cluster_id,
        split=place.split,
        width=fact.width,
        height=fact.height,
        format=fact.format,
        phash=f"{fact.phash:016x}",
        source=source.kind,
        licence=row.licence if row else None,
        attribution=row.attribution if row else None,
        version_id=listing.version_ids.get(path),
    )
