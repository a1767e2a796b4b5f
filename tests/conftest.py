"""Fixtures that several rooms of the house share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs, bad files and weights that live outside the project; absent on a user's machine."""
    place = Path(os.environ.get("EARTHSNAP_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(f"no shared data: neither ../shared/data nor EARTHSNAP_SHARED ({place}) is there")
    return place
