"""A small dataset out of a large one."""

import random

from earthsnap_train.data.limit import limited
from earthsnap_train.data.scan import FileStat
from earthsnap_train.data.source import Listing, Row
from earthsnap_train.spec.dataset import Limit


def _listing(seed: int = 0) -> Listing:
    """4 orders of 5 species of 6 plants, each photographed twice."""
    rows = [
        Row(path=f"{o}/{s}/{p}-{n}.jpg", species=f"{o}-{s}", ranks={"order": o}, observation_id=f"{o}-{s}-{p}")
        for o in "abcd" for s in range(5) for p in range(6) for n in range(2)
    ]  # fmt: skip
    random.Random(seed).shuffle(rows)
    return Listing(rows=tuple(rows), files={row.path: FileStat(size=1, mtime_ns=1) for row in rows}, findings=())


def test_without_a_limit_nothing_changes() -> None:
    listing = _listing()
    assert limited(listing, Limit(species=None, photos_per_species=None)) is listing


def test_species_come_in_pairs_so_that_each_group_has_something_to_tell_apart() -> None:
    rows = limited(_listing(), Limit(species=6, photos_per_species=None)).rows
    assert sorted({row.species for row in rows}) == ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"]


def test_photographs_are_taken_as_whole_observations() -> None:
    listing = limited(_listing(), Limit(species=None, photos_per_species=5))
    observations = [row.observation_id for row in listing.rows]
    assert len(observations) == 20 * 4
    assert all(observations.count(one) == 2 for one in observations)
    assert set(listing.files) == {row.path for row in listing.rows}


def test_the_choice_does_not_depend_on_the_order_of_rows() -> None:
    limit = Limit(species=4, photos_per_species=4)
    assert limited(_listing(1), limit).rows == limited(_listing(2), limit).rows
