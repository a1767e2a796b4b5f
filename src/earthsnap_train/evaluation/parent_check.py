"""What became of the question whether the parent of an earlier release may stay, as it is written down; without numpy."""

from earthsnap_train.evaluation.figures import Estimate, Measured


class Routed(Measured):
    """Photographs of val that the parent never learnt from: the share that it sends to their group."""

    num_images: int
    routing: Estimate

    @property
    def in_words(self) -> str:
        """``96.5 % (88.1 to 99.0) of 57``"""
        low, high = (f"{100 * end:.1f}" for end in (self.routing.low, self.routing.high))
        return f"{100 * self.routing.value:.1f} % ({low} to {high}) of {self.num_images}"


class ParentCheck(Measured):
    """``new``: photographs that the release does not know, or knows as another species or in another group; ``old``: all
    others. None where there is none. ``obstacle``: why the parent cannot be kept whatever it routes, or empty.
    """

    obstacle: str
    min_routing: float
    new: Routed | None
    old: Routed | None

    @property
    def kept(self) -> bool:
        return not self.obstacle and (self.new is None or self.new.routing.value >= self.min_routing)

    def in_words(self, release: str) -> str:
        """``kept from plants-1: routes 96.5 % (88.1 to 99.0) of 57 new photographs, ...``"""
        if self.obstacle:
            return f"taught anew: {self.obstacle}"
        figures = [f"{one.in_words} {what}" for one, what in ((self.new, "new"), (self.old, "known")) if one]
        routes = f"{' and '.join(figures)} photographs of val" if figures else "no photograph of val to judge it by"
        if self.kept:
            return f"kept from {release}: it routes {routes}" if figures else f"kept from {release}: {routes}"
        return (
            f"taught anew: that of {release} routes {routes}, and {100 * self.min_routing:g} % of the new are required"
        )
