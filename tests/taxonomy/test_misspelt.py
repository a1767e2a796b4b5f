"""Names that are almost those of species."""

import pytest

from earthsnap_train.taxonomy.misspelt import misspelt_synonyms

KNOWN = ("foxglove", "canterbury-bells", "specimen-1", "rose")


@pytest.mark.parametrize("typo", ["foxglov", "Foxgloves", "foxglobe", "foxgolve"])
def test_a_synonym_of_almost_a_species_is_told_with_the_species(typo: str) -> None:
    said = f"taxonomy.synonyms: no species is called {typo!r}. Did you mean 'foxglove'?"
    assert list(misspelt_synonyms({typo: "Digitalis"}, KNOWN)) == [said]
    assert list(misspelt_synonyms({"rose": typo}, KNOWN)) == [said]


@pytest.mark.parametrize(
    "synonyms",
    [
        {"Digitalis purpurea": "Digitalis"},  # as in a published list
        {"foxglove": "canterbury-bells", "canterbury-bells": "Campanula"},
        {"foxglove": "Foxgloves"},  # which is what it is to be called
        {"specimen-2": "Specimen"},
        {"rosa": "Rosa"},
    ],
)
def test_other_names_are_passed_over(synonyms: dict[str, str]) -> None:
    assert list(misspelt_synonyms(synonyms, KNOWN)) == []
