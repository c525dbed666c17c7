"""Statistics of noisy timings. Raw values stay; everything here derives from them."""

from collections.abc import Sequence
from statistics import median, quantiles

# Half of the rounds within so much of their median: above it the figure would
# be another one a minute later.
STABLE_SPREAD = 0.10

# The same for the plain reads alone: shares are taken pair by pair and bear it,
# but rates that are quoted beside them would not be the next minute's.
MOVED_READS = 0.05


def spread(values: Sequence[float]) -> float:
    """The middle half of the values (their interquartile range) over their median; 0 for one value."""
    if len(values) < 2:
        return 0.0
    first, _, third = quantiles(values, n=4)
    return (third - first) / median(values)


def stable(values: Sequence[float]) -> bool:
    """Whether the rounds agree well enough to quote their median. One round never does."""
    return len(values) > 1 and spread(values) <= STABLE_SPREAD


def doubt(shares: Sequence[float], reads: Sequence[float]) -> str | None:
    """Why the median share of the plain reads can't be trusted, in a sentence; None where it can.

    Nothing that uses bytes is faster than reading them, so a share above one
    says that the machine treated the two differently.
    """
    if len(shares) < 2:
        return "one round alone shows nothing of how the figures vary; run it longer"
    if median(shares) > 1:
        return f"the plain reads were slower than what they bound ({median(shares):.0%}); run again when idle"
    return moved("the plain reads", reads) or disagreement(shares)


def moved(what: str, values: Sequence[float]) -> str | None:
    """That what was timed beside the rounds was not the same in all of them; None where it was."""
    if spread(values) <= MOVED_READS:
        return None
    return f"{what} moved by {spread(values):.0%} between the rounds; run again when idle"


def disagreement(values: Sequence[float]) -> str | None:
    """Why the median of ratios would be another one a minute later; None where it would not."""
    if stable(values):
        return None
    return f"the rounds disagree by {spread(values):.0%}; run again when idle"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Pair by pair, for runs that were interleaved: drift falls on both sides of a pair."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]
