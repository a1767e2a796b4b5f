from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.errors import DataError, IntegrityError, TaxonomyError
from earthsnap_train.taxonomy.tree import Taxonomy

TaxonomyOf = Callable[..., Taxonomy]


@pytest.fixture
def flowers(taxonomy_of: TaxonomyOf) -> Taxonomy:
    return taxonomy_of(
        "rosales/rosaceae/rosa/canina",
        "rosales/rosaceae/rosa/rugosa",
        "rosales/rosaceae/rubus/idaeus",
        "rosales/ulmaceae/ulmus/glabra",
        "asterales/asteraceae/bellis/perennis",
        "rosales//rosa/sp",
    )


@pytest.mark.parametrize(
    ("other", "climbed"), [("canina", 0), ("rugosa", 1), ("sp", 1), ("idaeus", 2), ("glabra", 3), ("perennis", 4)]
)
def test_distance_counts_the_ranks_to_the_common_ancestor(flowers: Taxonomy, other: str, climbed: int) -> None:
    assert flowers.distance("canina", other) == flowers.distance(other, "canina") == climbed


def test_a_lineage_runs_from_the_highest_rank_to_the_species(flowers: Taxonomy) -> None:
    assert flowers.lineage("canina") == (
        ("order", "rosales"),
        ("family", "rosaceae"),
        ("genus", "rosa"),
        ("species", "canina"),
    )


def test_a_lineage_leaves_out_a_rank_that_is_not_known(flowers: Taxonomy) -> None:
    assert [rank for rank, _ in flowers.lineage("sp")] == ["order", "genus", "species"]


def test_species_under_a_taxon_come_sorted(flowers: Taxonomy) -> None:
    assert flowers.species_under("family", "rosaceae") == ("canina", "idaeus", "rugosa")
    assert flowers.species_under("species", "canina") == ("canina",)


def test_an_unknown_species_is_answered_with_the_nearest(flowers: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match="Did you mean 'canina'"):
        flowers.lineage("caninna")


def test_a_written_taxonomy_reads_back_equal_and_is_written_in_equal_bytes(flowers: Taxonomy, tmp_path: Path) -> None:
    flowers.write(tmp_path / "a.parquet")
    assert Taxonomy.read(tmp_path / "a.parquet") == flowers
    Taxonomy.read(tmp_path / "a.parquet").write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_taxonomy_without_ranks_reads_back_equal(taxonomy_of: TaxonomyOf, tmp_path: Path) -> None:
    flat = Taxonomy(ranks=(), species=taxonomy_of("a").species)
    flat.write(tmp_path / "flat.parquet")
    assert Taxonomy.read(tmp_path / "flat.parquet") == flat


def test_a_file_of_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    table = pa.table({"species_id": ["a"]}).replace_schema_metadata({"earthsnap.format": "2", "earthsnap.ranks": "[]"})
    pq.write_table(table, tmp_path / "new.parquet")
    with pytest.raises(DataError, match="format 2"):
        Taxonomy.read(tmp_path / "new.parquet")


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(IntegrityError, match="not a taxonomy"):
        Taxonomy.read(tmp_path / "bad.parquet")
