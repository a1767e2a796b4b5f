import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.spec.taxonomy import TaxonomySpec
from earthsnap_train.taxonomy.build import build_taxonomy
from earthsnap_train.taxonomy.linter import NameEntry
from earthsnap_train.taxonomy.tree import Species, Taxonomy

LENIENT = TaxonomySpec(synonyms={}, strict=False, on_conflict="stop")


@pytest.fixture
def taxonomy_of() -> Callable[..., Taxonomy]:
    """Builds a taxonomy from ``"rosales/rosaceae/rosa/canina"`` paths: order, family, genus, species."""

    def build(*paths: str) -> Taxonomy:
        ranks = ("order", "family", "genus")
        species = []
        for path in paths:
            *taxa, name = path.split("/")
            pairs = tuple((rank, taxon) for rank, taxon in zip(ranks, taxa, strict=False) if taxon)
            species.append(Species(species_id=name, scientific_name=name, common_name=None, ranks=pairs))
        return Taxonomy(ranks=ranks, species=tuple(sorted(species, key=lambda one: one.species_id)))

    return build


@pytest.fixture(scope="session")
def plants(shared_data: Path) -> Taxonomy:
    """The 102 species of plants-dev in their 24 orders."""
    with (shared_data / "plants-dev" / "labels.csv").open(encoding="utf-8") as file:
        rows = Counter(
            (row["class"], row["species"], row["group"], row["family"], row["genus"]) for row in csv.DictReader(file)
        )
    entries = [
        NameEntry(
            species=name,
            scientific_name=scientific,
            ranks=(("order", order), ("family", family), ("genus", genus)),
            num_photographs=num,
        )
        for (name, scientific, order, family, genus), num in rows.items()
    ]
    taxonomy, findings = build_taxonomy(entries, LENIENT)
    assert [str(one) for one in findings] == []
    return taxonomy
