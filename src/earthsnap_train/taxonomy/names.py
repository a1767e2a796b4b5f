"""Names as people write them, and the identifiers minted from them."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from earthsnap_train.errors import ConfigError

LONGEST_SLUG = 100

# Letters that Unicode does not decompose into a Latin letter and a mark, and the hybrid sign.
_SPELLED_OUT = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "×": " x "}
)
_APART = re.compile(r"[\s_]+")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
# Windows keeps these for devices, in every folder.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])$")

_BINOMIAL = re.compile(
    r"(?P<name>×?\s?[A-Z][a-zë-]+(?: [x×])? [a-zë-]{2,}(?: (?:subsp|ssp|var|subvar|f)\. [a-zë-]+)*) (?P<rest>\S.*)"
)
# An author's abbreviation ends in a full stop; a zoological author is followed by a year. A bare surname
# ("Parus major Linnaeus") cannot be told from an English name ("Bird of Paradise") and is left alone.
_AUTHOR_WORD = r"(?:[A-Z][\w.'’-]*|f\.|fil\.|ex|et|and|in|de|von|van|&|al\.)"
_AUTHOR = re.compile(rf"\(?{_AUTHOR_WORD}(?:[\s(),]+{_AUTHOR_WORD})*[\s(),]*(?:\b1[789]\d\d|\b20\d\d)?\)?")
_SURE_AUTHOR = re.compile(r"\b[A-Z][\w'’-]*\.|\b1[789]\d\d\b|\b20\d\d\b")


def tidy(name: str) -> str:
    """The name composed (NFC), with single spaces and none at its ends."""
    return _APART.sub(" ", unicodedata.normalize("NFC", name)).strip()


@lru_cache(maxsize=1 << 16)
def without_author(name: str) -> str:
    """``Rosa canina`` for ``Rosa canina L.`` and ``(L.) Mill.``-like endings; any other name comes back tidied."""
    name = tidy(name)
    found = _BINOMIAL.fullmatch(name)
    if found and _AUTHOR.fullmatch(found["rest"]) and _SURE_AUTHOR.search(found["rest"]):
        return found["name"]
    return name


@lru_cache(maxsize=1 << 16)
def slug(name: str) -> str:
    """Lower-case ASCII words joined by ``-``: safe as a folder, in a URL and in an object key; "" if nothing is left.

    Spellings that differ in case, spacing, punctuation, accents or Unicode form share one slug. A name that ASCII
    cannot hold (another script) ends in a digest, so that two such names never share one.
    """
    folded, is_lossy = name.casefold(), False
    if not folded.isascii():
        folded = unicodedata.normalize("NFKD", folded.translate(_SPELLED_OUT))
        folded = "".join(c for c in folded if not unicodedata.combining(c))
        is_lossy = any(c.isalnum() and not c.isascii() for c in folded)
    words = _NOT_SLUG.sub("-", folded).strip("-")
    if is_lossy or len(words) > LONGEST_SLUG or _RESERVED.match(words):
        canonical = tidy(unicodedata.normalize("NFKC", name).casefold())
        digest = hashlib.blake2b(canonical.encode(), digest_size=4).hexdigest()
        words = f"{words[:LONGEST_SLUG]}-{digest}".strip("-")
    return words


def species_ids(names: Iterable[str], synonyms: Mapping[str, str], first_ids: Mapping[str, str] = {}) -> dict[str, str]:
    """The species id of every name as written: the slug of the name in use, without its author.

    It is "" for a name without a letter or digit. ``first_ids``: see there. Raises ConfigError where synonyms lead back to
    themselves.
    """
    in_use = {slug(without_author(other)): slug(without_author(name)) for other, name in synonyms.items()}
    found = {name: _follow(slug(without_author(name)), in_use) for name in names}
    return {name: first_ids.get(species_id, species_id) for name, species_id in found.items()}


def first_ids(synonyms: Mapping[str, str], minted: Collection[str]) -> dict[str, str]:
    """Slug of a name in use -> the id that its species has had since it went by another name.

    An id never changes: a species that is renamed by a synonym keeps its own. ``minted``: every id there has been, oldest
    first; where species that have one are merged under a name that has none, the oldest stays.
    """
    found: dict[str, str] = {}
    for species_id, in_use in species_ids(minted, synonyms).items():
        if in_use not in minted:
            found.setdefault(in_use, species_id)
    return found


def ids_now(synonyms: Mapping[str, str], first_ids: Mapping[str, str] = {}) -> dict[str, str]:
    """Each id that a species had before a synonym led to another one -> the id that it has now.

    Raises ConfigError where synonyms lead back to themselves, whether a photograph has such a name or not.
    """
    others = [slug(without_author(other)) for other in synonyms]
    return {one: now for one, now in species_ids(others, synonyms, first_ids).items() if now != one}


def _follow(start: str, in_use: Mapping[str, str]) -> str:
    species_id, seen = start, {start}
    while in_use.get(species_id, species_id) != species_id:
        species_id = in_use[species_id]
        if species_id in seen:
            raise ConfigError(
                f"the synonyms of {start!r} lead back to {species_id!r}",
                where="taxonomy.synonyms",
                remedy="Let every other name point at the one name in use.",
            )
        seen.add(species_id)
    return species_id
