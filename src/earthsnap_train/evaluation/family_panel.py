"""How a family is built, and whether that pays, in a report's words."""

from collections.abc import Mapping
from typing import Literal

from earthsnap_train.evaluation.figures import Estimate, Measured
from earthsnap_train.evaluation.wording import percent, points
from earthsnap_train.spec.architecture import Routing

Targets = Literal["groups", "species", "clusters"]
TAUGHT: Mapping[Targets, str] = {
    "species": "every species",
    "clusters": "clusters of species that look alike",
    "groups": "the groups",
}


class FamilyPanel(Measured):
    """``targets``: what the parent was taught; ``chosen_among``: the ways that val chose it from, empty where it did not.

    ``trunk_is_taught``: of one trunk for all nodes, that it is not left as it is.
    """

    architecture: Literal["parent_child", "shared_trunk"]
    targets: Targets
    chosen_among: tuple[Targets, ...]
    routing: Routing
    trunk_is_taught: bool

    @property
    def parent_in_words(self) -> str:
        others = " and ".join(TAUGHT[one] for one in self.chosen_among if one != self.targets)
        chosen = f": validation preferred that to {others}" if others else ""
        return f"The parent was taught {TAUGHT[self.targets]}{chosen}."

    @property
    def routing_in_words(self) -> str:
        if self.routing.kind == "hard":
            asked = "Routing is hard: the child of the likeliest group alone is asked"
        else:
            asked = (
                f"Routing is soft: the children of the likeliest groups are asked, at most {self.routing.top_k}, until these "
                f"groups hold {percent(self.routing.mass, 0)} of the probability"
            )
        has_a_say = self.targets == "species" and self.routing.parent_weight > 0
        say = (
            f"; the parent has {percent(self.routing.parent_weight, 0)} of the say within a group" if has_a_say else ""
        )
        return f"{asked}{say}."

    @property
    def new_species_in_words(self) -> str:
        """What is taught again for one, which is what a family is for (measured in ``docs/adding-species.md``)."""
        if self.trunk_is_taught:
            return (
                "A new species teaches the trunk again, and with it every child; where the trunk is left as it is, "
                "only its group's child and the parent."
            )
        how_long = ", in seconds" if self.architecture == "shared_trunk" else ""
        return (
            f"What it gives besides: a new species teaches its group's child and the parent again{how_long}, and leaves the "
            "other children as they are, byte for byte."
        )


def worth(minus_flat: Estimate) -> str:
    """Whether a family is worth it for the names that it gives: family minus flat, on the same photographs."""
    figures = f"({points(minus_flat.value)} points, {points(minus_flat.low)} to {points(minus_flat.high)})"
    if minus_flat.low > 0:
        return f"Yes, for its names alone: it names more right than the flat network, beyond chance {figures}."
    if minus_flat.high < 0:
        return f"Not for its names: it names fewer right than the flat network, beyond chance {figures}."
    return f"Not for its names: it and the flat network cannot be told apart on these photographs {figures}."
