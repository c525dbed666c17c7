"""Calibration: a few factors with a physical meaning, learned from a person's own runs.

A run's time is a sum of what memory, arithmetic and overhead take. Each has one
factor for an engine on a device, so that a run of one format teaches about all
others, and no answer is ever looked up. The factors minimise

    sum over questions (log measured - log predicted)^2 / NOISE^2
        + sum over factors (log factor / prior width)^2

The second sum is what the profile knows already: with few runs the factors stay
near 1, and a factor that no run depends on stays at 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, fsum, log, sqrt

from fitcheck.schema.calibration import Factors, Learned
from fitcheck.schema.engine import (
    AttentionRate,
    Engine,
    Prefill,
    PrefillGpu,
    PrefillLanes,
    Residual,
    Routing,
    TypeRate,
)

# Log spread of a run repeated on a machine that other programs use too, and of
# the factors from machine to machine: published llama.cpp runs on CPUs lie within 0.81 and
# 1.34 of the model (80 %), so that one factor strays by about 0.2 to 0.3.
NOISE = 0.10
PRIOR = Factors(bandwidth=0.3, arithmetic=0.3, overhead=0.5, prefill=0.3)

# The profile's own spread weighs as much as so many runs.
PRIOR_RUNS = 3.0
_OF_80_PERCENT = 1.2816  # standard deviations either side

_STEPS = 12
_NUDGE = 1e-3
_FARTHEST = 1.6  # log: no factor is believed beyond five times either way


@dataclass(frozen=True, slots=True)
class Evidence:
    """A measured speed, how to predict it with other factors, and what it counts."""

    measured: float
    predict: Callable[[Factors], float]
    weight: float  # a question asked n times counts 1/n each


def calibrated(engines: Sequence[Engine], learned: Sequence[Learned]) -> tuple[Engine, ...]:
    """The engines with what was learned of them; the others as they are."""
    known = {(row.engine, row.device): row for row in learned}
    return tuple(
        _applied(engine, known[engine.name, engine.device])
        if (engine.name, engine.device) in known
        else engine
        for engine in engines
    )


def with_factors(engine: Engine, factors: Factors) -> Engine:
    """The engine's figures, each times its factor."""
    arithmetic, overhead = factors.arithmetic, factors.overhead
    return replace(
        engine,
        read_efficiency=engine.read_efficiency * factors.bandwidth,
        overhead_s=engine.overhead_s * overhead,
        overhead_s_per_layer=engine.overhead_s_per_layer * overhead,
        overhead_s_per_product=engine.overhead_s_per_product * overhead,
        overhead_s_per_number=engine.overhead_s_per_number * overhead,
        routing=_routing(engine.routing, factors) if engine.routing else None,
        rates=_times(engine.rates, arithmetic),
        attention=tuple(_attention(row, arithmetic) for row in engine.attention),
        families=tuple(
            replace(
                row,
                read_efficiency=row.read_efficiency * factors.bandwidth,
                overhead_s_per_layer=row.overhead_s_per_layer * overhead,
            )
            for row in engine.families
        ),
        prefill=_prefill(engine.prefill, factors.prefill) if engine.prefill else None,
    )


def fit(decode: Sequence[Evidence], prefill: Sequence[Evidence]) -> Factors:
    """The factors that explain the runs best. The order of the runs doesn't matter."""
    found = _fit(_in_order(decode), ("bandwidth", "arithmetic", "overhead"), Factors())
    return _fit(_in_order(prefill), ("prefill",), found)


def spread(evidence: Sequence[Evidence], factors: Factors, prior: float) -> tuple[float, float]:
    """The interval of measured over expected that holds 80 % of runs.

    ``prior`` is the log standard deviation the profile states; consistent runs
    narrow it, scattered ones widen it.
    """
    squares = fsum(e.weight * _residual(e, factors) ** 2 for e in _in_order(evidence))
    count = fsum(e.weight for e in evidence)
    width = _OF_80_PERCENT * sqrt((PRIOR_RUNS * prior**2 + squares) / (PRIOR_RUNS + count))
    return exp(-width), exp(width)


def _applied(engine: Engine, learned: Learned) -> Engine:
    source = f"{learned.runs} runs of your own"
    residual = Residual("measured", learned.low, learned.high, learned.runs, source)
    return replace(with_factors(engine, learned.factors), residuals=(residual,), calibrated_by=learned.runs)


def _times(rates: tuple[TypeRate, ...], factor: float) -> tuple[TypeRate, ...]:
    return tuple(replace(rate, weights_per_s=rate.weights_per_s * factor) for rate in rates)


def _routing(row: Routing, factors: Factors) -> Routing:
    layer_s, matrix_s = row.layer_s * factors.overhead, row.matrix_s * factors.overhead
    return Routing(layer_s, matrix_s, row.sum_s / factors.arithmetic)


def _attention(row: AttentionRate, factor: float) -> AttentionRate:
    return replace(
        row,
        products_per_s=row.products_per_s * factor,
        score_s=row.score_s / factor,
        rest_s=row.rest_s / factor,
    )


def _prefill(prefill: Prefill, factor: float) -> Prefill:
    return replace(
        prefill,
        rates=_times(prefill.rates, factor),
        attention=tuple(
            replace(row, products_per_s=row.products_per_s * factor) for row in prefill.attention
        ),
        gpus=tuple(_gpu(row, factor) for row in prefill.gpus),
        lanes=tuple(_lanes(row, factor) for row in prefill.lanes),
    )


def _lanes(row: PrefillLanes, factor: float) -> PrefillLanes:
    return replace(
        row, quantized=row.quantized * factor, half=row.half * factor, products=row.products * factor
    )


def _gpu(row: PrefillGpu, factor: float) -> PrefillGpu:
    half = row.half_weights_per_s
    return replace(
        row,
        quantized_weights_per_s=row.quantized_weights_per_s * factor,
        half_weights_per_s=half * factor if half else None,
        products_per_s=row.products_per_s * factor,
    )


def _in_order(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Sums of floats depend on their order, so one is chosen: by what was measured and predicted."""
    return sorted(evidence, key=lambda e: (e.measured, e.predict(Factors()), e.weight))


def _residual(evidence: Evidence, factors: Factors) -> float:
    return log(evidence.measured / evidence.predict(factors))


def _fit(evidence: list[Evidence], names: tuple[str, ...], start: Factors) -> Factors:
    """Gauss-Newton on the logarithms of the named factors; the others stay as they are."""
    if not evidence:
        return start
    logs = [0.0] * len(names)
    for _ in range(_STEPS):
        step = _step(evidence, names, logs, start)
        logs = [max(-_FARTHEST, min(_FARTHEST, at + by)) for at, by in zip(logs, step, strict=True)]
        if max(map(abs, step)) < 1e-9:
            break
    return _factors(start, names, logs)


def _step(evidence: list[Evidence], names: tuple[str, ...], logs: list[float], start: Factors) -> list[float]:
    """Solve the normal equations of the problem made linear here."""
    here = _factors(start, names, logs)
    residuals = [_residual(e, here) for e in evidence]
    slopes = []
    for index in range(len(names)):
        nudged = [at + _NUDGE * (index == other) for other, at in enumerate(logs)]
        there = _factors(start, names, nudged)
        # a residual falls where the prediction rises
        slopes.append([(r - _residual(e, there)) / _NUDGE for r, e in zip(residuals, evidence, strict=True)])
    weights = [e.weight / NOISE**2 for e in evidence]
    priors = [1 / getattr(PRIOR, name) ** 2 for name in names]
    matrix = [
        [fsum(w * a * b for w, a, b in zip(weights, one, other, strict=True)) for other in slopes]
        for one in slopes
    ]
    for index, prior in enumerate(priors):
        matrix[index][index] += prior
    target = [
        fsum(w * a * r for w, a, r in zip(weights, slope, residuals, strict=True)) - prior * at
        for slope, prior, at in zip(slopes, priors, logs, strict=True)
    ]
    return _solve(matrix, target)


def _factors(start: Factors, names: tuple[str, ...], logs: list[float]) -> Factors:
    return replace(start, **{name: exp(value) for name, value in zip(names, logs, strict=True)})


def _solve(matrix: list[list[float]], target: list[float]) -> list[float]:
    """Gaussian elimination; the priors on the diagonal keep every pivot above nothing."""
    rows = [[*row, value] for row, value in zip(matrix, target, strict=True)]
    size = len(rows)
    for pivot in range(size):
        for below in range(pivot + 1, size):
            share = rows[below][pivot] / rows[pivot][pivot]
            rows[below] = [a - share * b for a, b in zip(rows[below], rows[pivot], strict=True)]
    solution = [0.0] * size
    for index in reversed(range(size)):
        known = fsum(rows[index][other] * solution[other] for other in range(index + 1, size))
        solution[index] = (rows[index][size] - known) / rows[index][index]
    return solution
