import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsnap_train.errors import ConfigError
from earthsnap_train.taxonomy.names import LONGEST_SLUG, first_ids, ids_now, slug, species_ids, without_author

STEADY = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(
    "written",
    ["Oxeye-Daisy", "oxeye daisy", " oxeye_daisy ", "OXEYE  DAISY", "oxeye–daisy"],
)
def test_spellings_that_differ_in_case_and_spacing_share_a_slug(written: str) -> None:
    assert slug(written) == "oxeye-daisy"


def test_composed_and_decomposed_accents_share_a_slug() -> None:
    assert (
        slug(unicodedata.normalize("NFD", "Aloë véra"))
        == slug(unicodedata.normalize("NFC", "Aloë véra"))
        == "aloe-vera"
    )


def test_letters_that_unicode_does_not_decompose_are_spelt_out() -> None:
    assert slug("Rødknæ × Łąka ß") == "rodknae-x-laka-ss"


def test_names_in_another_script_never_share_a_slug() -> None:
    slugs = {slug(name) for name in ("Роза 1", "Фиалка 1", "向日葵", "蒲公英")}
    assert len(slugs) == 4
    assert all(one.isascii() and one for one in slugs)


def test_a_name_that_windows_keeps_for_a_device_gets_another_slug() -> None:
    assert slug("CON").startswith("con-")


@STEADY
@given(st.text(max_size=300))
def test_a_slug_is_a_safe_folder_name_and_its_own_slug(name: str) -> None:
    made = slug(name)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not made.startswith("-")
    assert not made.endswith("-")
    assert "--" not in made
    assert len(made) <= LONGEST_SLUG + 9
    assert slug(made) == made


@pytest.mark.parametrize(
    "written",
    [
        "Rosa canina L.",
        "Rosa canina (L.) Mill.",
        "Rosa canina Linnaeus, 1753",
        "Rosa canina (Linnaeus, 1753)",
        "Rosa canina DC. ex Lindl.",
        "Rosa canina A.St.-Hil. & Juss.",
        "Rosa_canina_L.",
    ],
)
def test_an_author_after_a_name_is_cut_off(written: str) -> None:
    assert without_author(written) == "Rosa canina"


@pytest.mark.parametrize(
    "name",
    [
        "Bird of Paradise",
        "Bishop of Llandaff",
        "St. John's wort",
        "Dahlia 'Bishop of Llandaff'",
        "Dahlia pinnata (pink-yellow)",
        "Pelargonium sp.",
        "Rosa canina var. alba",
        "Parus major Linnaeus",
        "Rosa × hybrida",
    ],
)
def test_a_name_that_only_looks_as_if_it_had_an_author_stays(name: str) -> None:
    assert without_author(name) == name


def test_a_variety_keeps_its_name_and_loses_its_author() -> None:
    assert without_author("Ranunculus acris subsp. friesianus (Jord.) Syme") == "Ranunculus acris subsp. friesianus"


def test_synonyms_are_followed_to_the_name_in_use_however_they_are_spelt() -> None:
    synonyms = {"Chamomilla recutita": "Matricaria recutita", "matricaria-recutita": "Matricaria chamomilla L."}
    assert species_ids(["Chamomilla recutita (L.) Rauschert"], synonyms) == {
        "Chamomilla recutita (L.) Rauschert": "matricaria-chamomilla"
    }


def test_synonyms_in_a_circle_are_refused() -> None:
    with pytest.raises(ConfigError, match="lead back to"):
        species_ids(["a"], {"a": "b", "b": "a"})


def test_the_words_layer_starts_without_numpy_torch_and_pyarrow() -> None:
    modules = ["build", "by_hand", "by_rank", "grouping", "linter", "lock", "names", "regroup", "tree"]
    code = "import sys\n" + "\n".join(f"import earthsnap_train.taxonomy.{one}" for one in modules)
    code += "\nprint(sorted({'numpy', 'torch', 'pyarrow', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_renamed_species_keeps_the_id_that_it_was_given() -> None:
    renamed = {"Rosa vetus": "Rosa media", "rosa-media": "Rosa nova L."}
    first = first_ids(renamed, ["rosa-canina", "rosa-vetus"])
    assert first == {"rosa-nova": "rosa-vetus"}
    names = ["Rosa vetus", "Rosa nova", "Rosa canina"]
    assert species_ids(names, renamed, first) == {
        "Rosa vetus": "rosa-vetus", "Rosa nova": "rosa-vetus", "Rosa canina": "rosa-canina"
    }  # fmt: skip


def test_merged_species_have_the_id_of_the_name_in_use_else_of_the_oldest() -> None:
    assert first_ids({"a": "b"}, ["a", "b"]) == {}
    assert first_ids({"a": "c", "b": "c"}, ["b", "a"]) == {"c": "b"}
    assert first_ids({"a": "c"}, []) == {}


def test_the_ids_that_led_to_others_are_known_with_those_that_they_led_to() -> None:
    synonyms = {
        "Rosa alba L.": "rosa-canina",
        "rosa-canina": "Rosa nova",
        "Acer": "Acer novum",
        "rosa nova": "rosa-nova",
    }
    assert ids_now(synonyms, {"acer-novum": "acer"}) == {"rosa-alba": "rosa-nova", "rosa-canina": "rosa-nova"}


def test_synonyms_that_lead_back_to_themselves_are_refused_whether_anything_is_called_so_or_not() -> None:
    with pytest.raises(ConfigError, match="the synonyms of 'a' lead back to 'a'"):
        ids_now({"a": "b", "b": "a"})
