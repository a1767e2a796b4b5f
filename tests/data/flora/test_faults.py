from collections import Counter

import pytest
from pydantic import ValidationError

from earthsnap_train.data.flora.faults import shots
from earthsnap_train.data.flora.species import catalogue


def test_without_faults_every_shot_is_its_own_photograph(flora):
    declared = flora()
    found = shots(declared)
    assert all(shot.photograph == shot.subject and not shot.fault for shot in found)
    assert {shot.photograph for shot in found} == set(catalogue(declared))


def test_shares_of_faults_are_kept(flora):
    found = shots(flora(plants_per_species=25, faults={"duplicates": 0.1, "wrong_labels": 0.05, "corrupt": 0.02}))
    assert Counter(shot.fault for shot in found) == {"": 300 - 15 - 6, "duplicate": 30, "wrong_label": 15, "corrupt": 6}
    assert {shot.treatment for shot in found if shot.fault == "corrupt"} == {"truncated", "zero_bytes", "not_an_image"}
    assert {shot.treatment for shot in found if shot.fault == "duplicate"} == {"exact_copy", "reencoded"}


def test_paths_stay_distinct_when_everything_is_faulty(flora):
    found = shots(flora(plants_per_species=12, faults={"duplicates": 0.4, "wrong_labels": 0.6}))
    assert len({shot.photograph.path for shot in found}) == len(found)


def test_wrong_label_is_consistent_with_the_folder_it_lies_in(flora):
    wrong = [shot for shot in shots(flora(faults={"wrong_labels": 0.5})) if shot.fault]
    assert len(wrong) == 12
    for shot in wrong:
        assert shot.photograph.species_id != shot.subject.species_id == shot.related
        assert shot.photograph.species_id in shot.photograph.path.split("/")


def test_copy_names_its_original(flora):
    declared = flora(faults={"duplicates": 0.5})
    paths = {row.path for row in catalogue(declared)}
    copies = [shot for shot in shots(declared) if shot.fault]
    assert len(copies) == 12
    assert all(shot.related in paths and shot.photograph.path not in paths for shot in copies)


def test_more_faults_than_photographs_are_refused(flora):
    with pytest.raises(ValidationError, match="more than 1"):
        flora(faults={"duplicates": 0.6, "corrupt": 0.6})
