"""The genera of the flora: each is one build of plant, with invented but readable names."""

import itertools
import random
from dataclasses import dataclass
from typing import Literal

FlowerKind = Literal["rays", "bell", "star", "orchid", "poppy", "open", "cup", "trumpet", "pompon"]
Inflorescence = Literal["solitary", "raceme", "umbel", "spike"]
Foliage = Literal["alternate", "opposite", "basal", "whorled"]


@dataclass(frozen=True, kw_only=True)
class Genus:
    """What all species of a genus share: the kind of flower, how flowers stand on the stem, how leaves do."""

    name: str
    common_name: str
    family: str
    order: str
    flower: FlowerKind
    inflorescence: Inflorescence
    foliage: Foliage


def _genus(
    name: str, common_name: str, family: str, order: str, build: tuple[FlowerKind, Inflorescence, Foliage]
) -> Genus:
    flower, inflorescence, foliage = build
    return Genus(
        name=name,
        common_name=common_name,
        family=family,
        order=order,
        flower=flower,
        inflorescence=inflorescence,
        foliage=foliage,
    )


KNOWN = (
    _genus("Heliastra", "sunstar", "Heliastraceae", "Heliastrales", ("rays", "solitary", "alternate")),
    _genus("Campanora", "chimebell", "Campanoraceae", "Heliastrales", ("bell", "raceme", "alternate")),
    _genus("Liriandra", "starlily", "Liriandraceae", "Liriandrales", ("star", "solitary", "whorled")),
    _genus("Calypsora", "moth orchid", "Calypsoraceae", "Liriandrales", ("orchid", "raceme", "basal")),
    _genus("Papavella", "silkpoppy", "Papavellaceae", "Papavellales", ("poppy", "solitary", "opposite")),
    _genus("Asphodora", "globeflower", "Liriandraceae", "Liriandrales", ("star", "umbel", "basal")),
    _genus("Cyathella", "goblet", "Cyathellaceae", "Liriandrales", ("cup", "solitary", "basal")),
    _genus("Stachyora", "candlespike", "Stachyoraceae", "Geraniastrales", ("open", "spike", "opposite")),
    _genus("Buccinella", "trumpetflower", "Cyathellaceae", "Liriandrales", ("trumpet", "solitary", "basal")),
    _genus("Pomponora", "pompon", "Heliastraceae", "Heliastrales", ("pompon", "solitary", "opposite")),
    _genus("Primavera", "posyflower", "Primaveraceae", "Geraniastrales", ("open", "umbel", "whorled")),
    _genus("Geraniastra", "cranesflower", "Geraniastraceae", "Geraniastrales", ("open", "solitary", "opposite")),
)

_FLOWERS: tuple[FlowerKind, ...] = ("open", "star", "rays", "bell", "poppy", "cup", "orchid", "trumpet", "pompon")
_INFLORESCENCES: tuple[Inflorescence, ...] = ("umbel", "raceme", "spike", "solitary")
_FOLIAGES: tuple[Foliage, ...] = ("whorled", "opposite", "alternate", "basal")
_TAKEN = {(genus.flower, genus.inflorescence, genus.foliage) for genus in KNOWN}
# Every combination that is left; the inflorescence changes from one to the next, so that neighbours look unlike.
_BUILDS = [
    build
    for foliage, shift, (place, flower) in itertools.product(
        _FOLIAGES, range(len(_INFLORESCENCES)), enumerate(_FLOWERS)
    )
    if (build := (flower, _INFLORESCENCES[(place + shift) % len(_INFLORESCENCES)], foliage)) not in _TAKEN
]
_ONSETS = ("bel", "cor", "dal", "fer", "gal", "lum", "mel", "nar", "ophi", "pel", "quil", "ser", "thal", "val", "xan")
_MIDDLES = ("a", "and", "er", "ian", "il", "o", "or", "ul")
_ENDINGS = ("dora", "lia", "mena", "nia", "psis", "ria", "stema", "thera")


def genera(num_groups: int) -> tuple[Genus, ...]:
    """The first ``num_groups`` genera: the known ones, then every other combination of their parts, named by rule."""
    return KNOWN[:num_groups] + tuple(_further(index) for index in range(num_groups - len(KNOWN)))


def _further(index: int) -> Genus:
    build = _BUILDS[index % len(_BUILDS)]
    number = index
    syllables = []
    for part in (_ONSETS, _ENDINGS, _MIDDLES):
        number, choice = divmod(number, len(part))
        syllables.append(part[(choice * 7 + index) % len(part)])
    onset, ending, middle = syllables
    # The three digits above repeat after every combination was used once; the number then tells namesakes apart.
    name = (onset + middle + ending + ("" if number == 0 else f"ella{number}")).capitalize()
    family = KNOWN[random.Random(f"family/{index}").randrange(len(KNOWN))]
    return _genus(name, f"{onset}{middle}wort".lower(), family.family, family.order, build)
