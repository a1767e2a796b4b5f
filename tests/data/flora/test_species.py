import subprocess
import sys
from dataclasses import astuple

from earthsnap_train.data.flora.genera import genera
from earthsnap_train.data.flora.species import catalogue, species_of


def test_catalogue_lists_every_photograph_of_every_plant_once(flora):
    rows = catalogue(flora(num_species=24, num_groups=5, plants_per_species=40))
    assert len(rows) == len({row.path for row in rows}) == 24 * 40 * 2
    assert len({row.species_id for row in rows}) == 24
    assert len({row.observation_id for row in rows}) == 24 * 40
    assert len({dict(row.ranks)["genus"] for row in rows}) == 5


def test_path_names_family_genus_species_plant_and_photo(flora):
    row = catalogue(flora(plants_per_species=12))[3]
    assert row.path == f"heliastraceae/heliastra/{row.species_id}/02-2.jpg"
    assert row.scientific_name.lower().replace(" ", "-") == row.species_id
    assert [rank for rank, _ in row.ranks] == ["order", "family", "genus"]


def test_more_species_change_no_earlier_one(flora):
    few, many = species_of(flora(num_species=6)), species_of(flora(num_species=30))
    assert many[:6] == few


def test_names_stay_distinct_in_a_large_flora(flora):
    species = species_of(flora(num_species=900, num_groups=300))
    assert len({one.scientific_name for one in species}) == 900
    assert len({one.genus.name for one in species}) == 300


def test_a_genus_has_one_family_and_a_family_one_order():
    parents = {}
    for genus in genera(200):
        assert parents.setdefault(genus.family, genus.order) == genus.order


def test_genera_of_the_demo_differ_in_build():
    builds = [(genus.flower, genus.inflorescence, genus.foliage) for genus in genera(100)]
    assert len(set(builds)) == 100


def test_species_of_a_genus_differ_in_at_least_two_traits(flora):
    species = species_of(flora(num_species=24, num_groups=5))
    for one in species:
        for other in species:
            if one.genus == other.genus and one.index < other.index:
                pairs = zip(astuple(one.traits), astuple(other.traits), strict=True)
                assert sum(mine != theirs for mine, theirs in pairs) >= 2


def test_another_seed_makes_another_flora(flora):
    assert [one.traits for one in species_of(flora(seed=1))] != [one.traits for one in species_of(flora(seed=2))]


def test_catalogue_loads_nothing_that_draws():
    program = (
        "import sys, earthsnap_train.data.flora.species, earthsnap_train.data.flora.faults\n"
        "print([name for name in ('numpy', 'PIL') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
