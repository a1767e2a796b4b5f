"""Where advice was written is remembered, so that a photograph on its page can be forgotten."""

import shutil
from pathlib import Path

import pytest

from earthsnap_train.advice.figures import Advice
from earthsnap_train.advice.files import FIGURES, PAGE, SUSPECTS, write_files
from earthsnap_train.pipeline.advised import pages_of, remember_folder
from earthsnap_train.pipeline.store import Store
from earthsnap_train.verbs.advise import without_pictures


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "project" / "store").mkdir(parents=True)
    return Store(tmp_path / "project" / "store")


@pytest.fixture
def folder(store: Store, advice: Advice) -> Path:
    folder = store.root.parent / "advice" / "x"
    remember_folder(store, folder)
    remember_folder(store, folder)
    write_files(folder, {PAGE: "pictures", FIGURES: without_pictures(advice), SUSPECTS: "path", "by-look.yaml": "a: b"})
    return folder


def test_a_page_is_found_by_a_suspect_and_by_a_portrait(store: Store, folder: Path, advice: Advice) -> None:
    pages = [folder / PAGE, folder / FIGURES]
    assert list(pages_of(store, advice.suspects[0].image_id, ())) == pages
    assert list(pages_of(store, "0", [advice.species[0].clearest])) == pages


def test_a_page_without_the_photograph_is_left_alone(store: Store, folder: Path) -> None:
    assert list(pages_of(store, "0", ["elsewhere.jpg"])) == []


def test_a_page_is_found_again_where_the_whole_project_was_moved(store: Store, folder: Path, advice: Advice) -> None:
    moved = Path(shutil.move(store.root.parent, store.root.parents[1] / "moved"))
    found = pages_of(Store(moved / "store"), advice.suspects[0].image_id, ())
    assert [page.relative_to(moved).as_posix() for page in found] == [f"advice/x/{PAGE}", f"advice/x/{FIGURES}"]


def test_a_page_whose_figures_are_gone_or_changed_may_show_any_photograph(store: Store, folder: Path) -> None:
    (folder / FIGURES).write_text("{}")
    assert folder / PAGE in pages_of(store, "0", ())
    (folder / FIGURES).unlink()
    assert list(pages_of(store, "0", ())) == [folder / PAGE]
    (folder / PAGE).unlink()
    assert list(pages_of(store, "0", ())) == []


def test_a_store_of_which_nobody_was_advised_has_no_pages(store: Store) -> None:
    assert list(pages_of(store, "0", ())) == []
