import csv
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from earthsnap_train.errors import TaxonomyError
from earthsnap_train.spec.taxonomy import TaxonomySpec
from earthsnap_train.taxonomy.build import build_taxonomy
from earthsnap_train.taxonomy.linter import Finding, NameEntry, require_sound
from earthsnap_train.taxonomy.tree import Taxonomy

LENIENT = TaxonomySpec(synonyms={}, strict=False, on_conflict="stop")


def build(*entries: NameEntry, spec: TaxonomySpec = LENIENT) -> tuple[Taxonomy, tuple[Finding, ...]]:
    return build_taxonomy(entries, spec)


def plant(name: str, *taxa: str, num: int = 10, scientific: str | None = None) -> NameEntry:
    """``taxa``: order, family, genus."""
    ranks = tuple(zip(("order", "family", "genus"), taxa, strict=False))
    return NameEntry(species=name, scientific_name=scientific, ranks=ranks, num_photographs=num)


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [one.code for one in findings]


@pytest.mark.parametrize(
    "variant", ["Ophrys Apifera", " Ophrys apifera", "Ophrys apifera Huds.", "ophrys_apifera", "Ophrys-apifera"]
)
def test_variants_of_a_name_become_one_species_and_are_reported(variant: str) -> None:
    taxonomy, findings = build(plant("Ophrys apifera"), plant(variant))
    assert [one.species_id for one in taxonomy.species] == ["ophrys-apifera"]
    assert codes(findings) == ["class_name_variant"]
    assert {entry.species for entry in findings[0].entries} < {"Ophrys apifera", variant}
    require_sound(findings, strict=False)


def test_names_in_two_unicode_forms_become_one_species() -> None:
    name = "Aloë vera"
    taxonomy, _ = build(plant(unicodedata.normalize("NFC", name)), plant(unicodedata.normalize("NFD", name)))
    assert [one.scientific_name for one in taxonomy.species] == [name]


def test_a_declared_synonym_merges_without_a_finding_and_the_name_in_use_is_kept() -> None:
    spec = TaxonomySpec(synonyms={"tradescantia-zebrina": "zebrina-pendula"}, strict=True, on_conflict="stop")
    taxonomy, findings = build(
        plant("tradescantia zebrina", scientific="Tradescantia zebrina"),
        plant("zebrina pendula", scientific="Zebrina pendula"),
        spec=spec,
    )
    assert [(one.species_id, one.scientific_name) for one in taxonomy.species] == [
        ("zebrina-pendula", "Zebrina pendula")
    ]
    assert codes(findings) == ["scientific_name_conflict"]


@pytest.mark.parametrize("written", ["rosa vetus", "rosa nova"])
def test_a_renamed_species_is_shown_by_the_name_in_use_under_its_first_id(written: str) -> None:
    spec = TaxonomySpec(synonyms={"Rosa vetus": "Rosa nova Mill."}, strict=True, on_conflict="stop")
    taxonomy, findings = build_taxonomy([plant(written)], spec, {"rosa-nova": "rosa-vetus"})
    shown = "rosa nova" if written == "rosa nova" else "Rosa nova"
    assert [(one.species_id, one.scientific_name) for one in taxonomy.species] == [("rosa-vetus", shown)]
    assert codes(findings) == []


def test_the_order_of_entries_does_not_matter() -> None:
    entries = [plant(f"s{i % 7}", f"o{i % 2}", f"f{i % 4}", f"g{i % 4}", num=i) for i in range(20)]
    expected = build(*entries)
    random.Random(1).shuffle(entries)
    assert build(*entries) == expected


def test_ranks_are_merged_highest_first_from_entries_that_each_know_some() -> None:
    a = NameEntry(species="a", ranks=(("kingdom", "Plantae"), ("family", "Rosaceae")))
    b = NameEntry(species="b", ranks=(("family", "Rosaceae"), ("genus", "Rosa")))
    assert build(a, b)[0].ranks == ("kingdom", "family", "genus")


def test_ranks_in_contradicting_orders_are_refused() -> None:
    a = NameEntry(species="a", ranks=(("family", "Rosaceae"), ("genus", "Rosa")))
    b = NameEntry(species="b", ranks=(("genus", "Rosa"), ("family", "Rosaceae")))
    with pytest.raises(TaxonomyError, match="contradicting orders"):
        build(a, b)


def test_a_rank_may_not_have_the_name_of_a_column() -> None:
    with pytest.raises(TaxonomyError, match="'species' cannot be the name of a rank"):
        build(NameEntry(species="a", ranks=(("species", "x"),)))


def test_a_taxon_written_in_two_ways_is_one_taxon() -> None:
    taxonomy, findings = build(plant("a", "Rosales"), plant("b", "rosales "))
    assert taxonomy.species_under("order", "Rosales") == ("a", "b")
    assert codes(findings) == ["taxon_name_variant"]


def test_a_species_under_two_parents_stays_where_most_of_its_photographs_are() -> None:
    stray = plant("sunflower", "Rosales", num=1)
    taxonomy, findings = build(plant("sunflower", "Asterales", num=18), stray)
    assert taxonomy.get("sunflower").taxon("order") == "Asterales"
    assert codes(findings) == ["hierarchy_conflict"]
    assert findings[0].entries == (stray,)
    with pytest.raises(TaxonomyError, match=r"sunflower.*Asterales \(18\) and Rosales \(1\)"):
        require_sound(findings, strict=False)


def test_contradicting_entries_are_dropped_where_the_declaration_says_so() -> None:
    spec = LENIENT.model_copy(update={"on_conflict": "drop"})
    entries = plant("sunflower", "Asterales", num=18), plant("sunflower", "Rosales", num=1)
    taxonomy, findings = build(*entries, spec=spec)
    require_sound(findings, strict=False)
    assert len(findings[0].entries) == 1
    assert taxonomy.get("sunflower").taxon("order") == "Asterales"


def test_a_genus_in_two_families_is_reported_once_with_the_lesser_side() -> None:
    rosaceae = [plant(f"rosa-{i}", "Rosales", "Rosaceae", "Rosa") for i in range(3)]
    stray = plant("rosa-stray", "Rosales", "Ulmaceae", "Rosa")
    taxonomy, findings = build(*rosaceae, stray)
    assert codes(findings) == ["hierarchy_conflict"]
    assert findings[0].where == "genus Rosa"
    assert findings[0].entries == (stray,)
    assert "rosa-stray" not in taxonomy.by_id


def test_one_genus_name_in_two_separate_lineages_is_a_homonym() -> None:
    _, findings = build(
        plant("aotus-a", "Fabales", "Fabaceae", "Aotus"), plant("aotus-b", "Primates", "Aotidae", "Aotus")
    )
    assert codes(findings) == ["homonym"]
    assert "name of its own" in findings[0].remedy


def test_a_name_without_a_letter_is_an_error() -> None:
    taxonomy, findings = build(plant("--"), plant("rose"))
    assert codes(findings) == ["no_name"]
    assert [one.species_id for one in taxonomy.species] == ["rose"]


def test_the_name_faults_of_the_dirty_set_are_found(shared_data: Path) -> None:
    with (shared_data / "dirty" / "labels.csv").open(encoding="utf-8") as file:
        rows = Counter((row["group"], row["class"]) for row in csv.DictReader(file))
    entries = [
        NameEntry(species=name, ranks=(("order", order),), num_photographs=num) for (order, name), num in rows.items()
    ]
    taxonomy, findings = build(*entries)
    assert [(one.code, one.where) for one in findings] == [
        ("hierarchy_conflict", "species sunflower"),
        ("class_name_variant", "daffodil"),
        ("class_name_variant", "oxeye-daisy"),
    ]
    assert len(taxonomy.species) == 6
