"""What is wrong, or looks wrong, in the names and ranks that came with the photographs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from earthsnap_train.errors import TaxonomyError
from earthsnap_train.taxonomy.misspelt import same_digits, shortened
from earthsnap_train.taxonomy.names import slug, without_author
from earthsnap_train.taxonomy.tree import SPECIES_RANK, Species, Taxonomy

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
SHORTEST_COMPARED = 8
MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class NameEntry:
    """One spelling of a species with its ranks, as the source has it, and how many photographs carry it.

    ``ranks``: (rank, taxon), highest first; an empty taxon is one that is not known.
    """

    species: str
    scientific_name: str | None = None
    common_name: str | None = None
    ranks: tuple[tuple[str, str], ...] = ()
    num_photographs: int = 1

    @property
    def where(self) -> str:
        return "/".join([*(taxon for _, taxon in self.ranks if taxon), self.species])


# An entry with its taxa by rank, each in the spelling that is in use; unknown ones left out.
PlacedEntry = tuple[NameEntry, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``where``: a taxon or an entry. ``entries``: those that it speaks against, whose photographs are to be judged."""

    code: str
    severity: Severity
    message: str
    where: str
    remedy: str
    entries: tuple[NameEntry, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.where}: {self.message}. {self.remedy}"


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.code, one.where, one.message)))


def require_sound(findings: Sequence[Finding], *, strict: bool) -> None:
    """Raises TaxonomyError with the findings that stop a run: errors, and under ``strict`` warnings too."""
    stopping = [one for one in findings if one.severity == "error" or (strict and one.severity == "warning")]
    if not stopping:
        return
    lines = [f"\n  - {one}" for one in stopping[:MOST_LISTED]]
    if len(stopping) > MOST_LISTED:
        lines.append(f"\n  - and {len(stopping) - MOST_LISTED} more")
    raise TaxonomyError(
        f"{len(stopping)} finding{'s' if len(stopping) > 1 else ''} about names and ranks{''.join(lines)}",
        where="taxonomy",
        remedy="Mend the names, declare taxonomy.synonyms, or drop contradicting entries (taxonomy.on_conflict=drop)."
        + (" taxonomy.strict=false lets warnings pass." if strict else ""),
    )


def lint(taxonomy: Taxonomy) -> Iterator[Finding]:
    """Everything that the finished table itself shows."""
    yield from _orphans(taxonomy)
    yield from _names_at_two_ranks(taxonomy)
    yield from _duplicates(taxonomy.species)
    yield from _misplaced_in_genus(taxonomy.species)
    yield from _unsure_authors(taxonomy.species)
    yield from _near_spellings(taxonomy.species)


def _orphans(taxonomy: Taxonomy) -> Iterator[Finding]:
    """A species that lacks a rank which others have."""
    for one in taxonomy.species:
        if len(one.ranks) < len(taxonomy.ranks):
            missing = [rank for rank in taxonomy.ranks if one.taxon(rank) is None]
            yield Finding(
                code="orphan",
                severity="warning",
                message=f"has no {' and no '.join(missing)}, which other species have",
                where=one.species_id,
                remedy=_kin_advice(one, missing, taxonomy),
            )


def _kin_advice(orphan: Species, missing: Sequence[str], taxonomy: Taxonomy) -> str:
    for rank, taxon in reversed(orphan.ranks):
        for kin in taxonomy.species:
            known = [f"{name} {kin.taxon(name)}" for name in missing if kin.taxon(name)]
            if known and kin.taxon(rank) == taxon:
                return f"{kin.species_id}, of the same {rank}, is in {' and '.join(known)}."
    return "Add it to the table of species."


def _names_at_two_ranks(taxonomy: Taxonomy) -> Iterator[Finding]:
    ranks_of: dict[str, list[str]] = defaultdict(list)
    for rank, taxon in {pair for one in taxonomy.species for pair in one.ranks}:
        ranks_of[taxon].append(rank)
    for taxon, unsorted in ranks_of.items():
        if len(unsorted) > 1:
            ranks = sorted(unsorted, key=taxonomy.ranks.index)
            yield Finding(
                code="homonym",
                severity="warning",
                message=f"is the name of a {' and of a '.join(ranks)}",
                where=taxon,
                remedy="Give each its own name, or leave the rank out that repeats the other.",
            )


def _duplicates(species: Sequence[Species]) -> Iterator[Finding]:
    """Two species ids under one scientific name."""
    ids_of: dict[str, list[str]] = defaultdict(list)
    for one in species:
        ids_of[slug(without_author(one.scientific_name))].append(one.species_id)
    for ids in ids_of.values():
        if len(ids) > 1:
            first, *others = ids
            yield Finding(
                code="duplicate_species",
                severity="warning",
                message=f"has the scientific name of {', '.join(others)}",
                where=first,
                remedy=_declare_synonyms(others, first),
            )


def _misplaced_in_genus(species: Sequence[Species]) -> Iterator[Finding]:
    """The first word of a scientific name is its genus."""
    genera = {taxon for one in species if (taxon := one.taxon("genus"))}
    for one in species:
        first_word, _, rest = without_author(one.scientific_name).partition(" ")
        genus = one.taxon("genus")
        # A name whose first word is no genus here is an English name or a synonym, and says nothing.
        if rest and genus and first_word != genus and first_word in genera:
            yield Finding(
                code="genus_mismatch",
                severity="warning",
                message=f"is named {one.scientific_name} but filed under the genus {genus}",
                where=one.species_id,
                remedy=f"Move it to {first_word}, or mend its scientific name.",
            )


def _unsure_authors(species: Sequence[Species]) -> Iterator[Finding]:
    """``Parus major Linnaeus`` beside ``Parus major``: an author without a full stop or a year is not merged."""
    names = {one.scientific_name: one.species_id for one in species}
    for name, species_id in names.items():
        words = without_author(name).split(" ")
        short = " ".join(words[:2])
        if len(words) > 2 and short in names and all(word[0].isupper() or word[0] in "(&" for word in words[2:]):
            yield Finding(
                code="author_suspected",
                severity="warning",
                message=f"{name!r} looks like {short!r} with its author",
                where=species_id,
                remedy=_declare_synonyms([species_id], names[short]),
            )


def _near_spellings(species: Sequence[Species]) -> Iterator[Finding]:
    """Ids one letter apart.

    Many true species are one letter apart, so this informs and never stops.
    """
    first_with: dict[str, str] = {}
    pairs = set()
    for name in (one.species_id for one in species if len(one.species_id) >= SHORTEST_COMPARED):
        for rest in shortened(name):
            first = first_with.setdefault(rest, name)
            if first != name:
                pairs.add((first, name))
    for a, b in sorted(pairs):
        if same_digits(a, b):
            yield Finding(
                code="near_spelling",
                severity="info",
                message=f"is spelt almost like {b}",
                where=a,
                remedy=_declare_synonyms([b], a),
            )


def _declare_synonyms(others: Sequence[str], in_use: str) -> str:
    return f"If they are one, declare taxonomy.synonyms: {{{', '.join(f'{other}: {in_use}' for other in others)}}}."


def one_parent_per_rank(
    placed: Sequence[PlacedEntry], ids: Mapping[str, str], ranks: Sequence[str]
) -> Iterator[Finding]:
    """A species, or a taxon, that stands under two parents. Those of fewer photographs are spoken against.

    ``ids``: the species id of each ``entry.species``. A contradiction is reported once, at the lowest rank it shows at.
    """
    for child_at in range(len(ranks), 0, -1):
        rank = ranks[child_at] if child_at < len(ranks) else SPECIES_RANK
        under: dict[str, list[PlacedEntry]] = defaultdict(list)
        for entry, taxa in placed:
            child = ids[entry.species] if rank == SPECIES_RANK else taxa.get(rank)
            if child:
                under[child].append((entry, taxa))
        for child, kin in sorted(under.items()):
            if len(kin) > 1:
                yield from _two_parents(rank, child, kin, ranks[:child_at])


def _two_parents(rank: str, child: str, kin: Sequence[PlacedEntry], higher: Sequence[str]) -> Iterator[Finding]:
    for parent_rank in reversed(higher):
        votes: Counter[str] = Counter()
        for entry, taxa in kin:
            if parent_rank in taxa:
                votes[taxa[parent_rank]] += entry.num_photographs
        if len(votes) > 1:
            kept, *others = sorted(votes, key=lambda taxon: (-votes[taxon], taxon))
            counts = " and ".join(f"{taxon} ({votes[taxon]})" for taxon in (kept, *others))
            shared_above = _share_a_higher_taxon(kin, higher[: higher.index(parent_rank)])
            yield Finding(
                code="hierarchy_conflict" if shared_above or rank == SPECIES_RANK else "homonym",
                severity="error",
                message=f"the {rank} stands under more than one {parent_rank} (photographs): {counts}",
                where=f"{rank} {child}",
                remedy=f"Keep it under one; {kept} has most"
                + (". " if shared_above else "; or, if they are different taxa, give each a name of its own."),
                entries=tuple(entry for entry, taxa in kin if taxa.get(parent_rank) in others),
            )
            return
        if len(votes) == 1 and all(parent_rank in taxa for _, taxa in kin):
            return  # the parent is beyond doubt, and what stands above it is the parent's own business


def _share_a_higher_taxon(kin: Sequence[PlacedEntry], higher: Sequence[str]) -> bool:
    """Whether all agree on some taxon further up; where no rank is further up, they are taken to."""
    return not higher or any(len({taxa.get(rank) for _, taxa in kin}) == 1 for rank in higher)
