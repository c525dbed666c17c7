"""Statistics of noisy timings. Raw values stay; everything here derives from them."""

from collections.abc import Sequence
from statistics import median, quantiles

# Half of the rounds within so much of their median: above it the figure would
# be another one a minute later.
STABLE_SPREAD = 0.10


def spread(values: Sequence[float]) -> float:
    """The middle half of the values (their interquartile range) over their median; 0 for one value."""
    if len(values) < 2:
        return 0.0
    first, _, third = quantiles(values, n=4)
    return (third - first) / median(values)


def stable(values: Sequence[float]) -> bool:
    """Whether the rounds agree well enough to quote their median. One round never does."""
    return len(values) > 1 and spread(values) <= STABLE_SPREAD


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Pair by pair, for runs that were interleaved: drift falls on both sides of a pair."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]
