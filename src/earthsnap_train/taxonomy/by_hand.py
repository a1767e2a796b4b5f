"""Groups that a person wrote down, in the declaration or in a file."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from earthsnap_train.errors import ConfigError, TaxonomyError
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.strict_yaml import load_yaml
from earthsnap_train.taxonomy.tree import Taxonomy

MOST_LISTED = 10


def read_groups(path: Path) -> dict[str, list[str]]:
    """A YAML file of group name -> list of species ids. Raises NotFoundError or ConfigError."""
    groups = load_yaml(path)
    if not isinstance(groups, dict) or not groups:
        raise ConfigError(
            "the file is not a mapping of groups to species", where=str(path), allowed="GROUP: [SPECIES, SPECIES, ...]"
        )
    for group, species in groups.items():
        is_list = isinstance(species, list) and all(isinstance(one, str) for one in species)
        if not isinstance(group, str) or not is_list:
            raise ConfigError(
                f"the group {group!r} is not a list of species ids",
                where=str(path),
                allowed="GROUP: [SPECIES, SPECIES, ...]",
                remedy="Put names that YAML reads as something else (no, on, 123) in quotes.",
            )
    return groups


def groups_by_hand(groups: Mapping[str, Sequence[str]], taxonomy: Taxonomy, *, where: str) -> dict[str, str]:
    """species id -> group, in the order written, for the species that the taxonomy has.

    A species may be written in any spelling of its id. Declared species without photographs are passed over, so that
    a declaration may be ahead of the data. Raises ConfigError for a group's name or a species in two groups,
    TaxonomyError for species that no group has.
    """
    group_of: dict[str, str] = {}
    for group, species in groups.items():
        if group != slug(group):
            raise ConfigError(
                f"{group!r} cannot be the name of a group",
                where=where,
                allowed="Lower-case letters, digits and single hyphens: it becomes a folder.",
                remedy=f"Write {slug(group)!r}." if slug(group) else "",
            )
        for name in species:
            species_id = slug(name)
            if species_id in group_of:
                raise ConfigError(
                    f"{name!r} is in {group_of[species_id]} and in {group}",
                    where=where,
                    allowed="Every species is in exactly one group, once.",
                )
            group_of[species_id] = group
    missing = [one.species_id for one in taxonomy.species if one.species_id not in group_of]
    if missing:
        raise TaxonomyError(
            f"{len(missing)} species are in no group: {listed(missing)}",
            where=where,
            remedy=_misspelt(missing, [one for one in group_of if one not in taxonomy.by_id])
            or "Add each to one group, or group by rank (grouping=by_rank).",
        )
    return {species_id: group for species_id, group in group_of.items() if species_id in taxonomy.by_id}


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{', '.join(names[:MOST_LISTED])}{more}"


def _misspelt(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """Declared names that no species has, beside the species they may mean."""
    pairs = []
    for name in unknown[:MOST_LISTED]:
        near = difflib.get_close_matches(name, missing, n=1)
        if near:
            pairs.append(f"{name!r}, which no photograph has, may mean {near[0]!r}")
    return f"{'; '.join(pairs)}." if pairs else ""
