"""Species that come, go, move and change their names: what is done again, and in which words the plan says so."""

import csv
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from earthsnap_train.pipeline.changes import changes
from tests.conftest import draw_folder
from tests.pipeline.conftest import SPECIES, Garden

SHARED = "architecture=shared_trunk"
TEACHING = ("records", "embed/trunk", "trunk", "train", "export", "heads")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """A shared trunk that everything was done for once; only to be copied."""
    garden = Garden(tmp_path_factory.mktemp("shared"), typed=[SHARED])
    garden.grow(SPECIES)
    garden.run()
    return garden


@pytest.fixture
def shared(tmp_path: Path, finished: Garden) -> Garden:
    shutil.copytree(finished.root, tmp_path / "garden")
    return Garden(tmp_path / "garden", typed=[SHARED])


def told(place: Garden, *typed: str) -> list[str]:
    prepared = place.plan(*typed)
    return list(changes(prepared.plan, prepared.states, prepared.survey, place.store).lines())


def taught(ran: set[str]) -> set[str]:
    """Those stages that make, or prepare, what answers."""
    return {name for name in ran if name.startswith(TEACHING)}


def lock_of(garden: Garden) -> dict[str, str]:
    lock: dict[str, str] = yaml.safe_load((garden.root / "groupings/garden.lock.yaml").read_text())["species"]
    return lock


def test_where_nothing_changed_no_node_is_touched(shared: Garden) -> None:
    assert told(shared) == ["untouched: 4 nodes"]


def test_at_first_every_node_is_taught_for_the_first_time(new_garden: Garden) -> None:
    assert set(told(new_garden, SHARED)) == {
        f"{node}: taught for the first time" for node in ("parent", "child/rosa", "child/acer", "flat")
    }


def test_a_new_species_touches_its_child_and_what_sees_every_species(shared: Garden) -> None:
    shared.grow({"rosa/arvensis": 8})
    new = "1 new species (arvensis), 8 new photographs"
    assert told(shared) == [f"parent: {new}", f"child/rosa: {new}", f"flat: {new}", "untouched: 1 node"]
    prepared = shared.plan()
    found = changes(prepared.plan, prepared.states, prepared.survey, shared.store)
    spared = {stage.name for stage in prepared.plan.stages if found.spares(stage)}
    assert spared == {"select/child/acer", "records/acer", "embed/trunk/acer"}
    assert {
        name: prepared.states[name].seconds for name in (*spared, "embed/trunk/rosa", "embed/originals", "heads")
    } == {
        **dict.fromkeys(spared, 0.0),
        **dict.fromkeys(("embed/trunk/rosa", "embed/originals"), 0.5 * 8),  # it takes over what it has of the others
        "heads": 0.5 * 40,
    }
    ran = shared.run()
    assert not {name for name in taught(ran) if "acer" in name}
    assert told(shared) == ["untouched: 4 nodes"]
    assert list(lock_of(shared))[-1] == "arvensis"


@pytest.mark.parametrize("typed", ["backbone.image_px=96", "backbone.name=mobilenetv3_small_100"])
def test_another_network_takes_nothing_over(shared: Garden, typed: str) -> None:
    shared.grow({"rosa/arvensis": 8})
    states = shared.plan(typed).states

    assert states["embed/trunk/rosa"].seconds == 0.5 * 24
    assert states["embed/trunk/acer"].seconds == 0.5 * 16


def test_a_new_group_is_a_new_node(shared: Garden) -> None:
    shared.grow({f"salix/{name}": 8 for name in ("alba", "caprea", "cinerea")})
    lines = told(shared)
    assert "child/salix: a new group of 3 species (alba, caprea, cinerea)" in lines
    assert lines[-1] == "untouched: 2 nodes"
    ran = shared.run()
    assert taught(ran) == {"records/salix", "embed/trunk/salix", "heads"}


def test_a_name_that_a_synonym_replaces_changes_names_alone(shared: Garden) -> None:
    synonym = "taxonomy.synonyms={canina: Rosa nova}"
    assert told(shared, synonym) == ["untouched: 4 nodes", "names: canina is now Rosa nova"]
    states = shared.plan(synonym).states
    assert {states[name].seconds for name in ("records/rosa", "embed/trunk/rosa", "embed/originals", "heads")} == {0.0}
    assert states["evaluate/family"].seconds == 0.5 * 32
    before = lock_of(shared)

    ran = shared.run(synonym)

    assert "ingest" in ran
    assert "bundle" in ran
    assert not taught(ran)
    assert lock_of(shared) == before


def test_networks_of_their_own_are_not_taught_again_for_a_name(garden: Garden) -> None:
    (garden.photographs / "rosa/canina").rename(garden.photographs / "rosa/Rosa nova")
    garden.typed = [*garden.typed, "taxonomy.synonyms={canina: Rosa nova}"]

    assert told(garden) == ["untouched: 4 nodes", "names: canina is now Rosa nova"]
    assert not taught(garden.run())
    assert lock_of(garden).keys() == {name.split("/")[1] for name in SPECIES}


def test_a_scientific_name_in_the_species_table_is_data_alone(shared: Garden) -> None:
    table = shared.root / "species.csv"

    def write(name: str) -> None:
        with table.open("w", newline="") as file:
            rows = [(one.split("/")[1], one.split("/")[0], f"Planta {one.split('/')[1]}") for one in SPECIES]
            rows = [(species, genus, name if species == "canina" else full) for species, genus, full in rows]
            csv.writer(file).writerows([("species", "genus", "scientific_name"), *rows])

    shared.typed = [*shared.typed, f"dataset.source.species_table={table}", "dataset.source.ranks=[]"]
    for one in SPECIES:
        (shared.photographs / one).rename(shared.photographs / one.split("/")[1])
    write("Rosa canina")
    shared.run()
    write("Rosa nova")

    assert told(shared) == ["untouched: 4 nodes", "names: canina, Rosa canina is now Rosa nova"]
    assert not taught(shared.run())


def test_a_misspelt_synonym_is_told_and_one_of_a_name_unlike_all_is_not(shared: Garden) -> None:
    assert shared.plan("taxonomy.synonyms={unheard of: canina, rubrum: Acer novum}").survey.notes == ()
    assert shared.plan("taxonomy.synonyms={rugsoa: canina}").survey.notes == (
        "taxonomy.synonyms: no species is called 'rugsoa'. Did you mean 'rugosa'?",
    )


def test_species_that_a_synonym_merges_touch_the_nodes_of_both(shared: Garden) -> None:
    merge = "taxonomy.synonyms={canina: rugosa}"
    assert told(shared, merge) == [
        "parent: 1 gone species (canina), 8 relabelled photographs",
        "flat: 1 gone species (canina), 8 relabelled photographs",
        "child/rosa: gone, for it has nothing left to tell apart",
        "untouched: 1 node",
    ]
    assert shared.plan(merge).plan.stage("bundle").settings["ids_now"] == {"canina": "rugosa"}
    ran = shared.run(merge)
    assert taught(ran) == {"records/rosa", "embed/trunk/rosa", "heads"}
    assert "canina" in lock_of(shared)  # its place is kept, should it come back
    assert told(shared, merge) == ["untouched: 3 nodes"]


def test_a_species_that_is_split_keeps_its_photographs_on_their_sides(shared: Garden) -> None:
    manifest = shared.plan().states["ingest"].artifact
    assert manifest is not None
    new = shared.photographs / "rosa/corymbifera"
    new.mkdir()
    for photograph in sorted((shared.photographs / "rosa/canina").iterdir())[:4]:
        photograph.rename(new / photograph.name)

    split = "1 new species (corymbifera), 4 relabelled photographs"
    assert told(shared) == [f"parent: {split}", f"child/rosa: {split}", f"flat: {split}", "untouched: 1 node"]
    shared.run()
    assert list(lock_of(shared))[:4] == sorted(lock_of(shared), key=lambda one: one == "corymbifera")[:4]


def test_a_species_that_moves_to_another_group_touches_both(shared: Garden) -> None:
    lock = shared.root / "groupings/garden.lock.yaml"
    shared.grow({"rosa/arvensis": 8})
    shared.run()
    lock.write_text(lock.read_text().replace("arvensis: rosa", "arvensis: acer"))

    lines = told(shared)
    assert "child/rosa: 1 gone species (arvensis), 8 gone photographs" in lines
    assert "child/acer: 1 new species (arvensis), 8 new photographs" in lines
    assert lines[-1] == "flat: its species in another sequence"  # which are those of the groups, one after another


def test_settings_that_change_are_told_of_the_nodes_that_they_touch(shared: Garden) -> None:
    assert told(shared, "architecture.parent.targets=groups") == [
        "parent: parent.targets auto -> groups",
        "untouched: 3 nodes",
    ]
    lines = told(shared, "training.label_smoothing=0.1")
    assert len(lines) == 4
    assert all(line.endswith(": lesson.label_smoothing 0.0 -> 0.1") for line in lines)


def test_reviews_that_relabel_reject_and_are_withdrawn_touch_the_nodes_of_their_species(shared: Garden) -> None:
    (shared.root / "reviews.csv").write_text(
        "path,decision\nrosa/canina/000.png,relabel:opalus\nacer/rubrum/000.png,reject\n"
    )
    reviewed = f"dataset.reviews={shared.root}/reviews.csv"
    everything = "1 gone photograph, 1 relabelled photograph"
    assert told(shared, reviewed) == [
        f"parent: {everything}",
        "child/acer: 1 new photograph, 1 gone photograph",
        "child/rosa: 1 gone photograph",
        f"flat: {everything}",
    ]
    assert {"heads", "records/rosa", "records/acer"} <= shared.run(reviewed)
    assert told(shared, reviewed) == ["untouched: 4 nodes"]
    assert told(shared)[1] == "child/acer: 1 new photograph, 1 gone photograph"


def test_a_photograph_that_a_review_keeps_whatever_the_checks_say_is_new(shared: Garden) -> None:
    Image.new("RGB", (8, 8)).save(shared.photographs / "acer/rubrum/too-small.png")
    shared.run()
    (shared.root / "reviews.csv").write_text("path,decision\nacer/rubrum/too-small.png,keep\n")
    assert "child/acer: 1 new photograph" in told(shared, f"dataset.reviews={shared.root}/reviews.csv")


def test_new_photographs_that_are_no_longer_there_are_counted(shared: Garden) -> None:
    draw_folder(shared.root / "more", species={"new": 2})
    for photograph in (shared.root / "more/new").iterdir():
        photograph.rename(shared.photographs / "acer/rubrum" / f"new-{photograph.name}")
    next((shared.photographs / "acer/rubrum").glob("0*.png")).unlink()
    assert "child/acer: 2 new photographs, 1 gone photograph" in told(shared)


def test_a_photograph_that_the_checks_set_aside_is_not_new_the_next_time(shared: Garden) -> None:
    Image.new("RGB", (8, 8)).save(shared.photographs / "acer/rubrum/too-small.png")
    assert "child/acer: 1 new photograph" in told(shared)
    shared.run()
    shared.grow({"rosa/arvensis": 8})
    assert not any("acer" in line for line in told(shared))
