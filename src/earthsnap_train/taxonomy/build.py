"""From names as written to the taxonomy: spellings merged, contradictions found."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from earthsnap_train.errors import TaxonomyError
from earthsnap_train.spec.taxonomy import TaxonomySpec
from earthsnap_train.taxonomy.linter import Finding, NameEntry, PlacedEntry, lint, one_parent_per_rank, sort_findings
from earthsnap_train.taxonomy.names import slug, species_ids, tidy, without_author
from earthsnap_train.taxonomy.tree import RESERVED_RANKS, Species, Taxonomy


def build_taxonomy(
    entries: Iterable[NameEntry], spec: TaxonomySpec, first_ids: Mapping[str, str] = {}
) -> tuple[Taxonomy, tuple[Finding, ...]]:
    """One species for all spellings of one name; whatever looked wrong is a finding, the worst first.

    Entries that contradict the majority carry an error finding and are left out of the table, so that it is sound in
    any case; under ``on_conflict: drop`` that finding is a warning. Pass the findings to ``require_sound``.
    The species id of any spelling is ``names.species_ids``, and ``first_ids`` that of ``names.first_ids``.
    """
    entries = sorted(entries, key=_written)
    in_use = species_ids((one.species for one in entries), spec.synonyms)
    ids = species_ids((one.species for one in entries), spec.synonyms, first_ids)
    named = [one for one in entries if ids[one.species]]
    ranks = _rank_order(named)
    spellings, variants = _taxon_spellings(named)
    placed = [(one, {rank: spellings[rank, taxon] for rank, taxon in one.ranks if slug(taxon)}) for one in named]
    contradictions = [_as_declared(one, spec) for one in one_parent_per_rank(placed, ids, ranks)]
    against = {entry for finding in contradictions for entry in finding.entries}
    sound = [(entry, taxa) for entry, taxa in placed if entry not in against]
    taxonomy = Taxonomy(ranks=ranks, species=_merge(sound, ids, in_use, spec.synonyms, ranks))
    nameless = [one for one in entries if not ids[one.species]]
    findings = [*_nameless(nameless), *variants, *contradictions, *_spellings(named, ids), *lint(taxonomy)]
    return taxonomy, sort_findings(findings)


def _written(entry: NameEntry) -> tuple[object, ...]:
    return entry.species, entry.ranks, entry.scientific_name or "", entry.common_name or "", entry.num_photographs


def _rank_order(entries: Sequence[NameEntry]) -> tuple[str, ...]:
    """All ranks, highest first. Raises TaxonomyError where two entries order them differently."""
    orders = sorted({tuple(rank for rank, _ in one.ranks) for one in entries})
    above: dict[str, set[str]] = defaultdict(set)
    for order in orders:
        for at, rank in enumerate(order):
            above[rank].update(order[:at])
    reserved = sorted(RESERVED_RANKS & above.keys())
    if reserved:
        raise TaxonomyError(
            f"{reserved[0]!r} cannot be the name of a rank",
            where="dataset.source.ranks",
            remedy="Give the rank another name.",
        )
    # Of ranks that nothing orders, the one that comes first in the alphabet is taken to be higher.
    sorter = TopologicalSorter({rank: sorted(above[rank]) for rank in sorted(above)})
    try:
        sorter.prepare()
    except CycleError as error:
        raise TaxonomyError(
            f"the ranks stand in contradicting orders: {' above '.join(error.args[1])}",
            where="dataset.source.ranks",
            remedy="List them highest first, everywhere in the same order.",
        ) from None
    ranks: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ranks += ready
        sorter.done(*ready)
    return tuple(ranks)


def _taxon_spellings(entries: Sequence[NameEntry]) -> tuple[Mapping[tuple[str, str], str], list[Finding]]:
    """(rank, taxon as written) -> the spelling in use, which of several is the first in sorted order."""
    spellings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for rank, taxon in {pair for one in entries for pair in one.ranks}:
        if slug(taxon):
            spellings[rank, slug(taxon)].add(taxon)
    in_use: dict[tuple[str, str], str] = {}
    findings = []
    for (rank, _), written in sorted(spellings.items()):
        first = min(written)
        in_use |= {(rank, taxon): tidy(first) for taxon in written}
        if len(written) > 1:
            findings.append(
                Finding(
                    code="taxon_name_variant",
                    severity="warning",
                    message=f"is also written {_quoted(written - {first})}; taken as one",
                    where=f"{rank} {first}",
                    remedy="Write it in one way.",
                )
            )
    return in_use, findings


def _as_declared(finding: Finding, spec: TaxonomySpec) -> Finding:
    return replace(finding, severity="warning") if spec.on_conflict == "drop" else finding


def _merge(
    placed: Sequence[PlacedEntry],
    ids: Mapping[str, str],
    in_use: Mapping[str, str],
    synonyms: Mapping[str, str],
    ranks: Sequence[str],
) -> tuple[Species, ...]:
    """``in_use``: name as written -> slug of the name in use, which is the id but for a species that was renamed."""
    declared = {slug(without_author(name)): without_author(name) for name in synonyms.values()}
    by_id: dict[str, list[PlacedEntry]] = defaultdict(list)
    for entry, taxa in placed:
        by_id[ids[entry.species]].append((entry, taxa))
    merged = []
    for species_id, kin in sorted(by_id.items()):
        name = in_use[kin[0][0].species]
        merged.append(_one_species(species_id, kin, ranks, name=name, declared=declared.get(name)))
    return tuple(merged)


def _one_species(
    species_id: str, placed: Sequence[PlacedEntry], ranks: Sequence[str], *, name: str, declared: str | None
) -> Species:
    """``name``: slug of the name in use. ``declared``: how the synonyms write it, where they lead to it."""
    entries = [entry for entry, _ in placed]
    # What is written under the name in use counts before what is written under a synonym.
    own = [one for one in entries if slug(without_author(one.species)) == name]
    known = {rank: taxon for _, taxa in placed for rank, taxon in taxa.items()}
    scientific = _first(one.scientific_name for one in own) or without_author(own[0].species) if own else declared
    return Species(
        species_id=species_id,
        scientific_name=scientific or without_author(entries[0].species),
        common_name=_first(one.common_name for one in own or entries),
        ranks=tuple((rank, known[rank]) for rank in ranks if rank in known),
    )


def _first(names: Iterable[str | None]) -> str | None:
    return min((tidy(name) for name in names if name and name.strip()), default=None)


def _nameless(entries: Sequence[NameEntry]) -> Iterator[Finding]:
    for one in entries:
        yield Finding(
            code="no_name",
            severity="error",
            message=f"the name {one.species!r} holds no letter and no digit",
            where=one.where,
            remedy="Name the species.",
            entries=(one,),
        )


def _spellings(entries: Sequence[NameEntry], ids: Mapping[str, str]) -> Iterator[Finding]:
    """Several spellings of one species, and several scientific names under one."""
    by_id: dict[str, list[NameEntry]] = defaultdict(list)
    for one in entries:
        by_id[ids[one.species]].append(one)
    for species_id, kin in sorted(by_id.items()):
        # A declared synonym is no variant; a variant shares the slug, or its author's name is all that differs.
        written = {one.species for one in kin if slug(without_author(one.species)) == species_id}
        if len(written) > 1:
            first = min(written)
            yield Finding(
                code="class_name_variant",
                severity="warning",
                message=f"{_quoted(written - {first})} beside {first!r}; merged",
                where=species_id,
                remedy="Write the name in one way.",
                entries=tuple(one for one in kin if one.species in written - {first}),
            )
        scientific = {slug(without_author(name)): name for one in kin if (name := one.scientific_name)}
        if len(scientific) > 1:
            yield Finding(
                code="scientific_name_conflict",
                severity="warning",
                message=f"has more than one scientific name: {_quoted(set(scientific.values()))}",
                where=species_id,
                remedy="Keep the one in use.",
            )


def _quoted(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
