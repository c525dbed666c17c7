"""Judged runs summed up."""

from collections.abc import Sequence
from statistics import median

from fitcheck.accuracy.spread import p90
from fitcheck.schema.accuracy import Judged, Score


def score(kind: str, name: str, judged: Sequence[Judged]) -> Score:
    errors = sorted(error(j.expected, j) for j in judged)
    return Score(
        kind=kind,
        name=name,
        runs=len(judged),
        machines=len({j.run.machine for j in judged}),
        median_in_sample=median(error(j.in_sample, j) for j in judged),
        median=median(errors),
        p90=p90(errors),
        coverage=sum(j.low <= j.run.tokens_per_s <= j.high for j in judged) / len(judged),
        median_bandwidth_over_size=median(error(j.bandwidth_over_size, j) for j in judged),
        median_llmfit=median(error(j.llmfit, j) for j in judged),
    )


def error(expected: float, judged: Judged) -> float:
    """How far an expected speed is from the measured one, as a share of it."""
    return abs(expected / judged.run.tokens_per_s - 1)
