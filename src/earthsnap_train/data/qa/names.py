"""Which species every photograph shows, from its row, the synonyms and a person's reviews."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.qa.reviews import Review, species_named
from earthsnap_train.data.source import Row
from earthsnap_train.spec.dataset import FindingCode
from earthsnap_train.spec.taxonomy import TaxonomySpec
from earthsnap_train.taxonomy import linter
from earthsnap_train.taxonomy.build import build_taxonomy
from earthsnap_train.taxonomy.names import slug, species_ids, without_author
from earthsnap_train.taxonomy.tree import Taxonomy

_CODES = frozenset(get_args(FindingCode))
# A species as written, its names, and its taxa whatever their spelling.
_Key = tuple[str, str | None, str | None, tuple[tuple[str, str], ...]]


class Names:
    """``of``: path -> species id, where the names allow one. ``found``: all that looked wrong in the names; of these,
    ``findings`` are about photographs, and ``remarks`` about names alone, for a person to read.

    Raises TaxonomyError where names contradict each other and ``on_conflict: stop``, DataError for a review that names
    an unknown species.
    """

    def __init__(
        self, rows: Iterable[Row], reviews: Mapping[str, Review], spec: TaxonomySpec, first_ids: Mapping[str, str]
    ) -> None:
        """``reviews``: by path. ``first_ids``: see ``taxonomy.names``."""
        rows = list(rows)
        decided = {path: review for path, review in reviews.items() if review.decision in ("relabel", "reject")}
        entries: dict[_Key, list[Row]] = defaultdict(list)
        for row in rows:
            if row.path not in decided:
                entries[_key(row.species, row.scientific_name, row.common_name, row.ranks.items())].append(row)
        taxonomy, found = build_taxonomy((_entry(group) for group in entries.values()), spec, first_ids)
        if spec.on_conflict == "stop":
            linter.require_sound(found, strict=spec.strict)
        self.taxonomy = taxonomy
        self.found = found
        self.remarks = tuple(one for one in found if not one.entries or one.code not in _CODES)
        self.findings = [
            Finding(code=one.code, path=row.path, detail=f"{one.where}: {one.message}")  # type: ignore[arg-type]
            for one in found
            if one.code in _CODES and one.code != "class_name_variant"
            for entry in one.entries
            for row in entries[_key(entry.species, entry.scientific_name, entry.common_name, entry.ranks)]
        ]
        written = [review.species for review in decided.values() if review.species]
        ids = species_ids([*(row.species for row in rows), *written], spec.synonyms, first_ids)
        self.findings += _rare_spellings(rows, ids)
        self.of = {row.path: ids[row.species] for row in rows if ids[row.species] in taxonomy.by_id}
        for path, species_id in species_named(decided, ids, taxonomy.by_id).items():
            was = self.of.get(path, "not listed")
            self.of[path] = species_id
            self.findings.append(Finding(code="review_relabelled", path=path, detail=f"{was} -> {species_id}"))

    def taxonomy_of(self, paths: Iterable[str]) -> Taxonomy:
        """Of the species that these photographs show."""
        shown = {self.of[path] for path in paths}
        return Taxonomy(
            ranks=self.taxonomy.ranks, species=tuple(one for one in self.taxonomy.species if one.species_id in shown)
        )


def _rare_spellings(rows: Iterable[Row], ids: Mapping[str, str]) -> Iterator[Finding]:
    """Photographs whose species is written otherwise than most of that species are; a declared synonym is no variant."""
    by_species: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if slug(without_author(row.species)) == ids[row.species]:
            by_species[ids[row.species]].append(row)
    for kin in by_species.values():
        spellings = Counter(row.species for row in kin)
        usual = min(spellings, key=lambda name: (-spellings[name], name))
        for row in kin:
            if row.species != usual:
                yield Finding(code="class_name_variant", path=row.path, detail=f"{row.species!r} beside {usual!r}")


def _key(species: str, scientific: str | None, common: str | None, ranks: Iterable[tuple[str, str]]) -> _Key:
    return species, scientific, common, tuple((rank, slug(taxon)) for rank, taxon in ranks)


def _entry(rows: list[Row]) -> linter.NameEntry:
    spelling = Counter(tuple(row.ranks.items()) for row in rows)
    return linter.NameEntry(
        species=rows[0].species,
        scientific_name=rows[0].scientific_name,
        common_name=rows[0].common_name,
        ranks=min(spelling, key=lambda ranks: (-spelling[ranks], ranks)),
        num_photographs=len(rows),
    )
