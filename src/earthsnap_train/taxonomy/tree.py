"""The table of species and their higher ranks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from earthsnap_train.errors import DataError, IntegrityError, TaxonomyError, did_you_mean

FORMAT_VERSION = 1
SPECIES_RANK = "species"
NAME_COLUMNS = ("species_id", "scientific_name", "common_name")
RESERVED_RANKS = frozenset({SPECIES_RANK, *NAME_COLUMNS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Species:
    """``ranks``: (rank, taxon), highest first; a rank that is not known is left out."""

    species_id: str
    scientific_name: str
    common_name: str | None
    ranks: tuple[tuple[str, str], ...]

    def taxon(self, rank: str) -> str | None:
        return next((taxon for name, taxon in self.ranks if name == rank), None)


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """``ranks``: highest first, without ``species``. ``species``: sorted by id."""

    ranks: tuple[str, ...]
    species: tuple[Species, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Species]:
        return {one.species_id: one for one in self.species}

    def get(self, species_id: str) -> Species:
        """Raises TaxonomyError naming the nearest known id."""
        try:
            return self.by_id[species_id]
        except KeyError:
            raise TaxonomyError(
                f"there is no species {species_id!r}", where="taxonomy", remedy=did_you_mean(species_id, self.by_id)
            ) from None

    def lineage(self, species_id: str) -> tuple[tuple[str, str], ...]:
        """(rank, taxon) of the known ranks, highest first, ending with ``("species", species_id)``."""
        return (*self.get(species_id).ranks, (SPECIES_RANK, species_id))

    def distance(self, a: str, b: str) -> int:
        """Ranks to climb to the lowest common ancestor: 0 itself, 1 the same lowest rank, ... ``len(ranks) + 1``."""
        if a == b:
            return 0
        of_a, of_b = dict(self.get(a).ranks), dict(self.get(b).ranks)
        for climbed, rank in enumerate(reversed(self.ranks), start=1):
            if rank in of_a and of_a[rank] == of_b.get(rank):
                return climbed
        return len(self.ranks) + 1

    def species_under(self, rank: str, taxon: str) -> tuple[str, ...]:
        """Ids of the species of one taxon, sorted; the rank ``species`` names one."""
        if rank == SPECIES_RANK:
            return (self.get(taxon).species_id,)
        return tuple(one.species_id for one in self.species if one.taxon(rank) == taxon)

    def write(self, path: Path) -> None:
        """Parquet: one row a species, one column a rank; equal taxonomies give equal bytes."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [pa.field(name, pa.string(), nullable=name == "common_name") for name in NAME_COLUMNS]
        fields += [pa.field(rank, pa.string()) for rank in self.ranks]
        metadata = {"earthsnap.format": str(FORMAT_VERSION), "earthsnap.ranks": json.dumps(self.ranks)}
        columns = [[getattr(one, name) for one in self.species] for name in NAME_COLUMNS]
        columns += [[one.taxon(rank) for one in self.species] for rank in self.ranks]
        pq.write_table(pa.table(columns, schema=pa.schema(fields, metadata=metadata)), path, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> "Taxonomy":
        """Raises DataError where a newer program wrote the file, IntegrityError where it is no taxonomy at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            metadata = table.schema.metadata or {}
            version, ranks = int(metadata[b"earthsnap.format"]), json.loads(metadata[b"earthsnap.ranks"])
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise IntegrityError("this is not a taxonomy that earthsnap_train wrote", where=str(path)) from error
        if version > FORMAT_VERSION:
            raise DataError(
                f"the file is of format {version}",
                where=str(path),
                allowed=f"This program reads formats up to {FORMAT_VERSION}.",
                remedy="Use the version of earthsnap_train that wrote it, or a later one.",
            )
        return cls(
            ranks=tuple(ranks),
            species=tuple(
                Species(
                    species_id=row["species_id"],
                    scientific_name=row["scientific_name"],
                    common_name=row["common_name"],
                    ranks=tuple((rank, row[rank]) for rank in ranks if row[rank] is not None),
                )
                for row in table.to_pylist()
            ),
        )
