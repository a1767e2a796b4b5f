"""Which plants there are: species and the details that tell them apart, and every photograph taken of them.

Pure Python, so that a plan can count what the drawing stage will make without loading anything that draws.
"""

import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from typing import Literal, get_args

from earthsnap_train.data.flora.genera import Genus, genera
from earthsnap_train.spec.dataset import SyntheticFlora

Pattern = Literal["plain", "eye", "stripe", "spots", "picotee", "band", "veins", "tipped"]
Tip = Literal["round", "pointed", "notched", "fringed"]
Number = Literal["few", "several", "many"]
Width = Literal["narrow", "broad"]
Bearing = Literal["open", "cupped", "reflexed"]
Centre = Literal["small", "large"]
Leaf = Literal["linear", "ovate", "serrate", "lobed", "round"]
Hair = Literal["smooth", "hairy"]


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The details of a species. Colour is not among them: it varies from plant to plant within every species."""

    pattern: Pattern
    tip: Tip
    number: Number
    width: Width
    bearing: Bearing
    centre: Centre
    leaf: Leaf
    hair: Hair


_LEVELS: dict[str, tuple[str, ...]] = {
    "pattern": get_args(Pattern),
    "tip": get_args(Tip),
    "number": get_args(Number),
    "width": get_args(Width),
    "bearing": get_args(Bearing),
    "centre": get_args(Centre),
    "leaf": get_args(Leaf),
    "hair": get_args(Hair),
}
# How plainly a difference in each trait shows in a photograph.
_WEIGHTS = (3.0, 2.0, 2.0, 1.5, 1.5, 1.0, 1.5, 0.5)
_CANDIDATES = 4
_COMPARED = 48

_EPITHETS: dict[str, tuple[str, str]] = {
    "plain": ("immaculata", "plain"),
    "eye": ("oculata", "dark-eyed"),
    "stripe": ("striata", "striped"),
    "spots": ("maculata", "spotted"),
    "picotee": ("marginata", "edged"),
    "band": ("zonata", "ringed"),
    "veins": ("venosa", "veined"),
    "tipped": ("apicata", "tipped"),
    "pointed": ("acuminata", "pointed"),
    "notched": ("emarginata", "notched"),
    "fringed": ("fimbriata", "fringed"),
    "many": ("multiplex", "manifold"),
    "few": ("simplex", "simple"),
    "linear": ("graminea", "grass-leaved"),
    "ovate": ("ovata", "broad-leaved"),
    "serrate": ("serrata", "saw-leaved"),
    "lobed": ("laciniata", "cut-leaved"),
    "round": ("rotundata", "rounded"),
    "reflexed": ("reflexa", "swept-back"),
    "cupped": ("cyathina", "cupped"),
    "hairy": ("hirsuta", "hairy"),
    "large": ("macrocephala", "large-hearted"),
    "small": ("microcephala", "small-hearted"),
    "narrow": ("angusta", "slender"),
    "broad": ("lata", "broad"),
    "open": ("patens", "open"),
    "several": ("media", "middle"),
    "smooth": ("glabra", "smooth"),
}
_PLACE_STARTS = ("Ald", "Bren", "Cald", "Dor", "Eld", "Fal", "Grim", "Hol", "Ild", "Kel", "Lorn", "Mor", "Nev", "Orl")
_PLACE_ENDS = ("ara", "bury", "dale", "eth", "fell", "holm", "ion", "mere", "nor", "oss", "wick")


@dataclass(frozen=True, kw_only=True)
class FloraSpecies:
    index: int
    species_id: str
    scientific_name: str
    common_name: str
    genus: Genus
    traits: Traits

    @property
    def ranks(self) -> tuple[tuple[str, str], ...]:
        return (("order", self.genus.order), ("family", self.genus.family), ("genus", self.genus.name))

    @property
    def folder(self) -> str:
        """Where its photographs lie: ``family/genus/species``."""
        return f"{self.genus.family}/{self.genus.name}/{self.species_id}".lower()


@dataclass(frozen=True, kw_only=True)
class FloraPhotograph:
    """One row of the catalogue; ``path`` is relative to the folder of photographs, ``ranks`` highest first."""

    path: str
    species_id: str
    scientific_name: str
    common_name: str
    ranks: tuple[tuple[str, str], ...]
    observation_id: str
    species_index: int
    plant: int
    photo: int


@lru_cache(maxsize=8)
def species_of(flora: SyntheticFlora) -> tuple[FloraSpecies, ...]:
    """Every species, in turn from each genus, so that a larger ``num_species`` adds species and changes none."""
    groups = genera(min(flora.num_groups, flora.num_species))
    members = {}
    for number, genus in enumerate(groups):
        wanted = len(range(number, flora.num_species, len(groups)))
        members[number] = _members(genus, wanted, f"{flora.seed}/{number}")
    found = []
    for index in range(flora.num_species):
        genus = groups[index % len(groups)]
        traits, epithet, adjective = members[index % len(groups)][index // len(groups)]
        found.append(
            FloraSpecies(
                index=index,
                species_id=f"{genus.name}-{epithet}".lower(),
                scientific_name=f"{genus.name} {epithet}",
                common_name=f"{adjective} {genus.common_name}",
                genus=genus,
                traits=traits,
            )
        )
    return tuple(found)


def catalogue(flora: SyntheticFlora) -> tuple[FloraPhotograph, ...]:
    """Every photograph of the flora, before any fault is injected. An observation is one plant."""
    digits = len(str(flora.plants_per_species))
    rows = []
    for species in species_of(flora):
        ranks = species.ranks
        for plant in range(flora.plants_per_species):
            name = f"{plant + 1:0{digits}}"
            observation_id = f"{species.species_id}-{name}"
            rows += [
                FloraPhotograph(
                    path=f"{species.folder}/{name}-{photo + 1}.jpg",
                    species_id=species.species_id,
                    scientific_name=species.scientific_name,
                    common_name=species.common_name,
                    ranks=ranks,
                    observation_id=observation_id,
                    species_index=species.index,
                    plant=plant,
                    photo=photo,
                )
                for photo in range(flora.photos_per_plant)
            ]
    return tuple(rows)


def _members(genus: Genus, count: int, seed: str) -> list[tuple[Traits, str, str]]:
    """Traits and names of a genus' first ``count`` species: each new one as unlike the earlier ones as can be."""
    draw = random.Random(seed)
    traits: list[tuple[str, ...]] = []
    used: set[str] = set()
    members = []
    for _ in range(count):
        candidates = [tuple(draw.choice(levels) for levels in _LEVELS.values()) for _ in range(_CANDIDATES)]
        chosen = max(candidates, key=lambda candidate: _unlike(candidate, traits[-_COMPARED:]))
        traits.append(chosen)
        epithet, adjective = _name(chosen, used, draw)
        used.add(epithet)
        members.append((_traits(chosen), epithet, adjective))
    return members


def _unlike(candidate: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    """The weighted number of traits in which the candidate differs from the most similar other."""
    return min(
        (
            sum(w for w, mine, theirs in zip(_WEIGHTS, candidate, other, strict=True) if mine != theirs)
            for other in others
        ),
        default=0.0,
    )


def _traits(levels: Sequence[str]) -> Traits:
    return Traits(**dict(zip((field.name for field in fields(Traits)), levels, strict=True)))  # type: ignore[arg-type]


def _name(levels: Sequence[str], used: set[str], draw: random.Random) -> tuple[str, str]:
    """An epithet that says what is special about the species, or, once those are gone, where it was found."""
    for level in levels:
        if level in _EPITHETS and _EPITHETS[level][0] not in used:
            return _EPITHETS[level]
    while True:
        place = draw.choice(_PLACE_STARTS) + "".join(draw.choices(_PLACE_ENDS, k=draw.randint(1, 3)))
        epithet = f"{place.lower()}ensis"
        if epithet not in used:
            return epithet, place


def trait_names(traits: Traits) -> str:
    """``spots fringed many ...``: for contact sheets and logs."""
    return " ".join(astuple(traits))
