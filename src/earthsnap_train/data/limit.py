"""A small dataset out of a large one, decided before any file is opened."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from earthsnap_train.data.source import Listing, Row
from earthsnap_train.spec.dataset import Limit
from earthsnap_train.taxonomy.names import slug


def limited(listing: Listing, limit: Limit) -> Listing:
    """The same for the same rows, in any order. Species come in pairs of one higher taxon after the other.

    So that even six species make three groups with something to tell apart in each. Photographs of a species are taken
    as whole observations.
    """
    if limit.species is None and limit.photos_per_species is None:
        return listing
    by_species: dict[str, list[Row]] = defaultdict(list)
    for row in listing.rows:
        by_species[slug(row.species)].append(row)
    chosen = _species(by_species, limit.species)
    rows = [row for name in chosen for row in _photographs(by_species[name], limit.photos_per_species)]
    paths = {row.path for row in rows}
    return replace(
        listing,
        rows=tuple(sorted(rows, key=lambda row: row.path)),
        files={path: file for path, file in listing.files.items() if path in paths},
        findings=tuple(f for f in listing.findings if f.path in paths),
        unlisted=(),
    )


def _species(by_species: dict[str, list[Row]], number: int | None) -> Sequence[str]:
    by_taxon: dict[str, list[str]] = defaultdict(list)
    for name, rows in by_species.items():
        by_taxon[min(next(iter(row.ranks.values()), "") for row in rows)].append(name)
    in_turn = sorted(
        (at // 2, taxon, at, name) for taxon, names in by_taxon.items() for at, name in enumerate(sorted(names))
    )
    return [name for *_, name in in_turn][:number]


def _photographs(rows: Iterable[Row], number: int | None) -> list[Row]:
    if number is None:
        return list(rows)
    by_observation: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_observation[row.observation_id or row.path].append(row)
    taken: list[Row] = []
    for name in sorted(by_observation, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if taken and len(taken) + len(by_observation[name]) > number:
            continue
        taken += by_observation[name]
    return taken
