"""How sure a share is while one goes on looking at it.

The bounds hold at all numbers of requests at once, so that one may look after every answer and stop at any of them:
their chance of ever being wrong is ``ALPHA`` a bound, whether after three requests or after a million. They are where
the likelihood ratio of a mixture over all shares against one share (a martingale that starts at 1) reaches 1/ALPHA
(Ville 1939; Robbins 1970, Ann. Math. Stat. 41:1397; Howard, Ramdas, McAuliffe & Sekhon 2021, Ann. Stat. 49:1055).
"""

from math import exp, lgamma, log, log1p, pi

ALPHA = 1e-4
_HALVINGS = 40


def at_least(hits: int, number: int) -> float:
    """The share that surely is not undercut, having seen ``hits`` in ``number``; 0 where nothing was seen."""
    assert 0 <= hits <= number, (hits, number)
    if hits == 0:
        return 0.0
    # ln of the mixture with Jeffreys' prior, times ALPHA: shares whose likelihood is below it are excluded.
    misses = number - hits
    excluded = lgamma(hits + 0.5) + lgamma(misses + 0.5) - lgamma(number + 1) - log(pi) + log(ALPHA)
    if misses == 0:
        return exp(excluded / hits)
    low, high = 0.0, hits / number
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if hits * log(middle) + misses * log1p(-middle) < excluded:
            low = middle
        else:
            high = middle
    return low


def at_most(hits: int, number: int) -> float:
    """The share that surely is not exceeded; 1 where nothing was seen."""
    return 1.0 - at_least(number - hits, number)
