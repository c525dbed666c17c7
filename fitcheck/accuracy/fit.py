"""Fit an engine profile's fitted constants to published runs, with or without one machine's."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt

from fitcheck.accuracy.case import Case
from fitcheck.accuracy.constants import Constant, constants
from fitcheck.schema.engine import Engine

_ROUNDS = 2  # of all constants; a fourth moves none by a hundredth
_STEPS = 12  # of a golden section: bounds a factor of 100 apart end within 1.5 %
_GOLDEN = (5**0.5 - 1) / 2


def fit(engine: Engine, cases: Sequence[Case]) -> Engine:
    """The profile with the constants that bring the cases' errors down to the least sum.

    The cases are the engine's own. A constant that no case shows is dropped,
    and what stands in for it in ``speed`` counts. Runs that a client timed
    end to end decide nothing.
    """
    usable = [case for case in cases if not case.run.end_to_end]
    shown = []
    for constant in constants(engine):
        if own := [case for case in usable if constant.shows(case)]:
            shown.append((constant, own))
        else:
            engine = constant.drop(engine)
    for _ in range(_ROUNDS):
        for constant, own in shown:
            engine = constant.put(engine, _best(engine, constant, own))
    return engine


def _best(engine: Engine, constant: Constant, cases: Sequence[Case]) -> float:
    """Golden section on the logarithm of the constant; three digits are kept."""
    low, high = log(constant.low), log(constant.high)

    def loss(point: float) -> float:
        return _loss(constant.put(engine, exp(point)), cases)

    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return float(f"{exp((low + high) / 2):.3g}")


def _loss(engine: Engine, cases: Sequence[Case]) -> float:
    """Sum of relative errors; a machine's weight grows with the root of its runs, lest one decide all."""
    runs = Counter(case.run.machine for case in cases)
    return sum(abs(log(case.ratio(engine))) / sqrt(runs[case.run.machine]) for case in cases)
