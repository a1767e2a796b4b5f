"""Whose turn it is, without chance: a share of 10 % is one in ten over fifty requests already."""

# Irrational steps, so that no rhythm in the traffic meets the same turn again and again.
GOLDEN = 0.6180339887498949
ROOT_OF_TWO = 0.4142135623730951


class Turns:
    """A sequence of low discrepancy: multiples of ``step``, modulo 1."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._at = 0.0

    def take(self, share: float) -> bool:
        """True for this share of the calls."""
        self._at = (self._at + self._step) % 1.0
        return self._at < share
