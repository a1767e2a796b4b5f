from collections.abc import Callable

import pytest

from earthsnap_train.errors import TaxonomyError
from earthsnap_train.taxonomy.linter import Finding, Severity, lint, require_sound
from earthsnap_train.taxonomy.tree import Species, Taxonomy

TaxonomyOf = Callable[..., Taxonomy]


def named(*names: tuple[str, str]) -> Taxonomy:
    """(species id, scientific name) pairs without ranks."""
    return Taxonomy(
        ranks=(),
        species=tuple(
            Species(species_id=one, scientific_name=name, common_name=None, ranks=()) for one, name in sorted(names)
        ),
    )


def found(taxonomy: Taxonomy) -> list[tuple[str, str]]:
    return [(one.code, one.where) for one in lint(taxonomy)]


def test_a_sound_taxonomy_has_no_findings(taxonomy_of: TaxonomyOf) -> None:
    assert found(taxonomy_of("rosales/rosaceae/rosa/canina", "rosales/rosaceae/rubus/idaeus")) == []


def test_an_orphan_is_told_the_ranks_of_its_kin(taxonomy_of: TaxonomyOf) -> None:
    findings = list(lint(taxonomy_of("rosales/rosaceae/rosa/canina", "//rosa/rugosa")))
    assert [(one.code, one.where) for one in findings] == [("orphan", "rugosa")]
    assert "no order and no family" in findings[0].message
    assert findings[0].remedy == "canina, of the same genus, is in order rosales and family rosaceae."


def test_a_name_at_two_ranks_is_a_homonym(taxonomy_of: TaxonomyOf) -> None:
    assert found(taxonomy_of("iris/iridaceae/iris/germanica")) == [("homonym", "iris")]


def test_two_ids_of_one_scientific_name_are_duplicates() -> None:
    taxonomy = named(("dog-rose", "Rosa canina"), ("common-briar", "Rosa canina L."))
    (finding,) = lint(taxonomy)
    assert finding.code == "duplicate_species"
    assert "{dog-rose: common-briar}" in finding.remedy


def test_a_species_filed_under_another_genus_than_its_name_is_reported() -> None:
    taxonomy = Taxonomy(
        ranks=("genus",),
        species=(
            Species(species_id="a", scientific_name="Rosa canina", common_name=None, ranks=(("genus", "Rubus"),)),
            Species(species_id="b", scientific_name="Rosa rugosa", common_name=None, ranks=(("genus", "Rosa"),)),
        ),
    )
    assert found(taxonomy) == [("genus_mismatch", "a")]


def test_a_bare_surname_after_a_known_name_is_suspected_to_be_its_author() -> None:
    taxonomy = named(("parus-major", "Parus major"), ("parus-major-linnaeus", "Parus major Linnaeus"))
    assert found(taxonomy) == [("author_suspected", "parus-major-linnaeus")]


@pytest.mark.parametrize("typo", ["helianthus-anuus", "helianthus-annnuus", "helianthus-anmuus", "helianthus-nanuus"])
def test_names_one_letter_apart_are_pointed_out(typo: str) -> None:
    taxonomy = named(("helianthus-annuus", "x"), (typo, "y"))
    (finding,) = lint(taxonomy)
    assert (finding.code, finding.severity) == ("near_spelling", "info")
    assert {finding.where, finding.message.removeprefix("is spelt almost like ")} == {"helianthus-annuus", typo}


def test_names_that_differ_in_a_number_are_not_taken_for_misspelt() -> None:
    assert found(named(("specimen-1", "x"), ("specimen-2", "y"))) == []


def finding(severity: Severity) -> Finding:
    return Finding(code="c", severity=severity, message="is odd", where="rose", remedy="Mend it.")


def test_warnings_stop_a_run_only_under_strict() -> None:
    require_sound([finding("warning")], strict=False)
    with pytest.raises(TaxonomyError, match="rose: is odd"):
        require_sound([finding("warning")], strict=True)


def test_hints_never_stop_a_run() -> None:
    require_sound([finding("info")], strict=True)


def test_a_long_list_of_findings_is_cut_and_counted() -> None:
    with pytest.raises(TaxonomyError, match=r"30 findings(.|\n)*and 18 more"):
        require_sound([finding("error")] * 30, strict=False)
