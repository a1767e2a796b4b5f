"""What the store says is there is there and whole; all else is as if it had never been."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.store import Artifact, Store, read_artifact, write_atomically


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(store: Store, key: str = "a" * 40, stage: str = "ingest", **files: str) -> Artifact:
    with store.building(key) as folder:
        for name, text in (files or {"rows.csv": "1,2"}).items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made_of = {"settings": {"px": 3}}
        return store.publish(
            folder, key=key, kind="ingest", stage=stage, made_of=made_of, seconds=1.23456, num_images=7
        )


def test_what_was_published_is_found(store: Store) -> None:
    published = publish(store, **{"rows.csv": "1,2", "more__deep.txt": "x"})

    assert store.find(published.key) == published
    assert set(published.files) == {"rows.csv", "more/deep.txt"}
    assert (store.path(published.key) / "more" / "deep.txt").read_text() == "x"
    assert (published.seconds, published.num_images, published.ingredients) == (1.235, 7, {"settings": {"px": 3}})
    assert [artifact.key for artifact in store.all()] == [published.key]


def test_what_was_never_published_is_not_found(store: Store) -> None:
    assert store.find("b" * 40) is None
    assert list(store.all()) == []
    assert store.head("plants", "ingest") is None


def test_a_digest_is_of_the_content_alone(store: Store) -> None:
    one = publish(store, "a" * 40, "ingest", **{"rows.csv": "1,2"})
    same = publish(store, "b" * 40, "other", **{"rows.csv": "1,2"})
    renamed = publish(store, "c" * 40, "ingest", **{"lines.csv": "1,2"})
    changed = publish(store, "d" * 40, "ingest", **{"rows.csv": "1,3"})

    assert one.digest == same.digest
    assert len({one.digest, renamed.digest, changed.digest}) == 3


def test_notes_are_kept_but_are_no_content(store: Store) -> None:
    one = publish(store, "a" * 40, **{"rows.csv": "1,2", "notes__seconds.txt": "3"})
    other = publish(store, "b" * 40, **{"rows.csv": "1,2", "notes__seconds.txt": "4"})

    assert one.digest == other.digest
    assert "notes/seconds.txt" in one.files


@pytest.mark.parametrize("damage", ["cut", "gone", "undescribed", "nonsense", "half a description"])
def test_a_damaged_artifact_is_set_aside_and_can_be_made_anew(store: Store, damage: str) -> None:
    artifact = publish(store)
    folder = store.path(artifact.key)
    described = (folder / "artifact.json").read_text()
    match damage:
        case "cut":
            (folder / "rows.csv").write_text("1")
        case "gone":
            (folder / "rows.csv").unlink()
        case "undescribed":
            (folder / "artifact.json").unlink()
        case "nonsense":
            (folder / "artifact.json").write_text("[]")
        case "half a description":
            (folder / "artifact.json").write_text(described[: len(described) // 2])

    assert store.find(artifact.key) is None
    assert not folder.exists()
    assert len(list((store.root / "broken").iterdir())) == 1
    assert publish(store).digest == artifact.digest


def test_verify_finds_a_flipped_bit(store: Store) -> None:
    artifact = publish(store)
    store.verify(artifact.key)
    (store.path(artifact.key) / "rows.csv").write_text("1,3")  # as long as it was

    with pytest.raises(IntegrityError, match="is not what ingest wrote"):
        store.verify(artifact.key)


def test_what_a_killed_writer_left_is_gone_when_the_next_begins(store: Store) -> None:
    left_over = store.root / "building" / f"{'a' * 40}.99999"
    left_over.mkdir(parents=True)
    (left_over / "half.csv").write_text("1,")
    of_another = store.root / "building" / f"{'b' * 40}.99999"
    of_another.mkdir()

    with store.building("a" * 40) as folder:
        assert list(folder.iterdir()) == []
        assert not left_over.exists()
        assert of_another.exists()


def test_a_writer_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.building("a" * 40) as folder:  # noqa: PT012
        (folder / "half.csv").write_text("1,")
        raise ZeroDivisionError

    assert list((store.root / "building").iterdir()) == []
    assert store.find("a" * 40) is None


def test_scratch_stays_until_the_artifact_is_there(store: Store) -> None:
    (store.scratch("a" * 40) / "checkpoint").write_text("step 7")
    assert (store.scratch("a" * 40) / "checkpoint").read_text() == "step 7"

    publish(store, "a" * 40)

    assert not (store.root / "scratch" / ("a" * 40)).exists()


def test_a_second_writer_of_a_key_waits_for_the_first(store: Store) -> None:
    order: list[str] = []
    held = threading.Event()

    def first() -> None:
        with store.lock("a" * 40):
            held.set()
            time.sleep(0.2)
            order.append("first")

    def second() -> None:
        held.wait()
        with store.lock("a" * 40):
            order.append("second")

    threads = [threading.Thread(target=second), threading.Thread(target=first)]
    for thread in threads:
        thread.start()
    with store.lock("b" * 40):  # nobody waits for another key
        for thread in threads:
            thread.join()

    assert order == ["first", "second"]


def test_a_head_is_the_last_artifact_of_a_familys_stage(store: Store) -> None:
    one, other = publish(store, "a" * 40), publish(store, "b" * 40)
    store.set_head("plants", "train/child/roses", one.key)
    store.set_head("birds", "train/child/roses", one.key)
    store.set_head("plants", "train/child/roses", other.key)

    assert store.head("plants", "train/child/roses") == other
    assert store.head("birds", "train/child/roses") == one
    assert store.heads() == {one.key, other.key}


def test_a_head_whose_artifact_is_gone_is_none(store: Store) -> None:
    artifact = publish(store)
    store.set_head("plants", "ingest", artifact.key)
    shutil.rmtree(store.path(artifact.key))

    assert store.head("plants", "ingest") is None


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_atomically(path, b"old")

    def write(number: int) -> None:
        for _ in range(8):
            write_atomically(path, json.dumps([number] * 1000).encode())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert path.read_bytes() == b"old" or len(set(json.loads(path.read_bytes()))) == 1

    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("name", ["../pwned", "/etc/pwned", "a/../../pwned", "a//b", "a\\\\..\\\\b", "", "."])
def test_an_artifact_from_elsewhere_names_no_file_outside_of_its_folder(name: str, store: Store) -> None:
    said = publish(store).model_dump_json().replace("rows.csv", name).encode()

    with pytest.raises(IntegrityError, match=r"describes no artifact: .* is no path below a folder") as caught:
        read_artifact(said, key="a" * 40)
    assert caught.value.where == f"store/{'a' * 40}/artifact.json"


def test_an_artifact_from_elsewhere_is_the_one_that_was_asked_for(store: Store) -> None:
    said = publish(store).model_dump_json()

    assert read_artifact(said.encode(), key="a" * 40).key == "a" * 40
    with pytest.raises(IntegrityError, match=f"describes the artifact '{'a' * 40}'"):
        read_artifact(said.encode(), key="b" * 40)
    with pytest.raises(IntegrityError, match="describes no artifact"):
        read_artifact(said.replace("a" * 40, "../elsewhere").encode(), key="../elsewhere")


def test_an_artifact_here_that_names_files_elsewhere_is_set_aside(store: Store) -> None:
    artifact = publish(store)
    place = store.path(artifact.key) / "artifact.json"
    (store.root / "outside").write_text("1,2")
    place.write_text(place.read_text().replace("rows.csv", "../../outside"))

    assert store.find(artifact.key) is None
