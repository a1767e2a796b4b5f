from earthsnap_train.evaluation.compare import compare
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.release.notes import release_notes
from tests.evaluation.test_compare import OAK, ROSE, entry, rose_lost, shares


def test_notes_say_what_became_better_and_worse_with_its_figures() -> None:
    found = rose_lost()
    notes = release_notes(found.new, found, date="2026-11-22")
    assert notes.startswith(
        "# plants-7\n\n2026-11-22. Names 3 species.\n\nBeside plants-6, on 68 photographs that both"
    )
    assert "| named right, top-1 | 94.1% | 79.4% | −14.7 pp (−" in notes
    assert "## Worse\n\n- rosa canina: 93% -> 54% of 28 found (−39.3 pp, 95 % −" in notes
    assert "## Better" not in notes


def test_notes_name_species_that_came_went_or_changed_their_name() -> None:
    new = entry("p-7", {ROSE: shares(5, 6)}, group_of={ROSE: "a"})
    old = entry("p-6", {ROSE: shares(5, 6)}, group_of={ROSE: "a", OAK: "a"},
                names={ROSE: Name(species_id=ROSE, scientific="Rosa sp.", common=None),
                       OAK: Name(species_id=OAK, scientific="Quercus robur", common=None)})  # fmt: skip
    notes = release_notes(new.side, compare(new, old), date="2026-11-22")
    assert "## Species removed: 1\n\n- Quercus robur\n" in notes
    assert "## Species renamed: 1\n\n- Rosa sp. is now rosa canina\n" in notes
    assert "no species worse or better beyond chance" in notes


def test_the_first_release_of_a_family_has_notes_too() -> None:
    side = entry("p-1", {ROSE: shares(5, 6)}).side
    side = side.model_copy(update={"top1": Estimate(value=0.8333, low=0.4, high=0.97)})
    notes = release_notes(side, None, date="2026-11-22")
    assert "There is no release in production to compare it with." in notes
    assert "- named right, top-1: 83.3% (40.0% to 97.0%) of 6 photographs" in notes


def test_what_markdown_would_read_in_a_name_is_taken_as_written() -> None:
    strange = Name(species_id=OAK, scientific="Quercus *robur* <b>|", common=None)
    old = entry("p-6", {ROSE: [True]}, group_of={ROSE: "a", OAK: "a"})
    new = entry("p-7", {ROSE: [True]}, group_of={ROSE: "a", OAK: "a"}, names=old.names | {OAK: strange})  # type: ignore[operator]
    notes = release_notes(new.side, compare(new, old), date="")
    assert r"quercus robur is now Quercus \*robur\* \<b\>\|" in notes
