"""Names that people write by hand, and that are almost the name of a species or of a group."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from earthsnap_train.taxonomy.names import slug, without_author

SHORTEST_COMPARED = 5


def shortened(name: str) -> Iterator[str]:
    """The name, and the name without each of its letters.

    Two names share one of these where a letter is missing or another one, or where two neighbours changed places (the
    index of the SymSpell spelling corrector).
    """
    yield name
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]


def same_digits(a: str, b: str) -> bool:
    """Names that differ in a number are meant to differ."""
    return [c for c in a if c.isdigit()] == [c for c in b if c.isdigit()]


class Nearest:
    """Finds the one of these names that another is almost equal to, however many there are."""

    def __init__(self, known: Iterable[str]) -> None:
        self._with: dict[str, list[str]] = {}
        for name in sorted(known):
            for rest in shortened(name):
                self._with.setdefault(rest, []).append(name)

    def to(self, name: str, *, without: Collection[str] = ()) -> str | None:
        """``without``: names that it cannot be meant to be."""
        if len(name) < SHORTEST_COMPARED:
            return None
        found = (one for rest in shortened(name) for one in self._with.get(rest, ()))
        return next((one for one in found if one not in without and same_digits(one, name)), None)


def misspelt_synonyms(synonyms: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """A sentence for each name that no species has, where one has almost that name.

    Others are passed over: a published list rightly holds names that no photograph has. ``known``: slugs of the names
    that species have, or had.
    """
    nearest = Nearest(known)
    led_to: dict[str, set[str]] = {}
    for other, name in synonyms.items():
        led_to.setdefault(name, set()).add(slug(without_author(other)))
    # A new name may well be almost the one that it replaces.
    for name, own in {**{other: set() for other in synonyms}, **led_to}.items():
        written = slug(without_author(name))
        if written not in known and (near := nearest.to(written, without=own)):
            yield f"taxonomy.synonyms: no species is called {name!r}. Did you mean {near!r}?"
