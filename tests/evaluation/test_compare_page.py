"""The page of a comparison, as a browser would find it."""

import re

from earthsnap_train.evaluation.compare import compare, render_comparison
from earthsnap_train.evaluation.compare_figures import Comparison
from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.gates import judge_champion
from earthsnap_train.spec.evaluation import Gate
from tests.evaluation.conftest import photo
from tests.evaluation.test_compare import LILY, OAK, ROSE, entry, merged, rose_lost, shares
from tests.evaluation.test_report import HOSTILE, Page


def full() -> Comparison:
    """With pictures, and something of everything."""
    rights = {ROSE: shares(15, 28), OAK: shares(20, 20), LILY: shares(19, 20)}
    was = {ROSE: shares(26, 28), OAK: shares(8, 20), LILY: shares(18, 20)}
    new = entry("plants-7", rights, group_of={ROSE: "shrubs", OAK: "trees", LILY: "lilies", "malus-alba": "trees"})
    old = entry("plants-6", was, group_of={ROSE: "roses", OAK: "trees", LILY: "lilies", "acer-rubrum": "trees"})
    return compare(new, old, read_photo=photo)


def test_the_page_is_well_formed_and_asks_nothing_of_the_network() -> None:
    text = render_comparison(full(), gates=judge_champion(full(), {"champion.top1": Gate(min=0.0)}), date="2026-11-22")
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert set(page.anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_it_says_which_species_are_worse_which_better_and_which_are_new() -> None:
    text = Page(render_comparison(full())).text
    assert "1 species worse, 1 better" in text
    assert "Added 1 malus alba" in text
    assert "Removed 1 acer rubrum" in text
    assert "rosa canina: roses -> shrubs" in text


def test_a_difference_within_chance_is_not_called_one() -> None:
    within = compare(entry("p-7", {ROSE: shares(9, 10)}), entry("p-6", {ROSE: shares(8, 10)}))
    assert "No difference beyond chance" in Page(render_comparison(within)).text
    assert "Worse than plants-6" in Page(render_comparison(rose_lost())).text


def test_what_was_not_judged_is_not_shown_and_the_page_says_why() -> None:
    apart = compare(entry("p-7", {ROSE: [True]}), entry("p-6", None, group_of={ROSE: "x"}))
    page = Page(render_comparison(apart))
    assert "p-6 was registered before predictions were kept" in page.text.lower()
    assert "species" not in page.ids


def test_photographs_of_species_that_took_in_others_are_counted_as_left_out() -> None:
    said = "20 are left out for their species: it took in photographs of one that is gone"
    assert said in Page(render_comparison(merged(ids_now={}))).text
    assert "left out" not in Page(render_comparison(merged(ids_now={OAK: ROSE}))).text.lower()


def test_every_name_is_escaped() -> None:
    name = Name(species_id=ROSE, scientific=HOSTILE, common=HOSTILE)
    rights = {ROSE: shares(5, 10)}
    new = entry("p-7", rights, names={ROSE: name}, group_of={ROSE: HOSTILE})
    old = entry("p-6", {ROSE: shares(9, 10)}, group_of={ROSE: "x", "gone": "x"}, names={ROSE: name, "gone": name})
    text = render_comparison(compare(new, old))
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_equal_comparisons_give_an_equal_page() -> None:
    one = full()
    assert render_comparison(one) == render_comparison(Comparison.model_validate_json(one.model_dump_json()))
