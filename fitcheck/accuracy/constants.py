"""The figures of an engine profile that published runs decide, as knobs a fit can turn.

A profile lists them under ``fitted``: a field (``read_efficiency``, ``cache_efficiency``), ``families``
and ``lane_costs`` (all of their figures), or ``rates/<isa>`` and ``rates/<isa>/<type>``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from fitcheck.accuracy.case import Case
from fitcheck.schema.engine import Engine, GpuFamily, LaneCost, TypeRate
from fitcheck.speed.engines import family_of, isa_of

Part = TypeVar("Part", Engine, GpuFamily)

# Weights a second: a core of eight 8-bit products an instruction, four pipes and
# 3.5 GHz would stand at 112e9. Runs that memory binds can't tell 60e9 from more.
_FASTEST_CORE = 60e9

_DEEP = 1024  # tokens


@dataclass(frozen=True, slots=True)
class Constant:
    """One figure of a profile: how to set it, between which bounds, and which cases show it."""

    name: str
    put: Callable[[Engine, float], Engine]
    drop: Callable[[Engine], Engine]  # for when no case is left that shows it
    low: float
    high: float
    shows: Callable[[Case], bool]


def constants(engine: Engine) -> tuple[Constant, ...]:
    """Every fitted figure of the engine, in the order of its profile."""
    return tuple(found for path in engine.fitted for found in _constants(engine, path))


def figures(engine: Engine) -> dict[str, float]:
    """All figures of the kinds that a fit can set, by the names of their constants."""
    found = {"read_efficiency": engine.read_efficiency, "overhead_s_per_layer": engine.overhead_s_per_layer}
    found["cache_efficiency"] = engine.cache_efficiency
    for family in engine.families:
        found[f"{family.words[0]}.read_efficiency"] = family.read_efficiency
        found[f"{family.words[0]}.overhead_s_per_layer"] = family.overhead_s_per_layer
    found |= {f"lane_costs.{cost.types[0]}": cost.per_weight for cost in engine.lane_costs}
    return found | {f"{rate.isa}.{rate.type}": rate.weights_per_s for rate in engine.rates}


def _constants(engine: Engine, path: str) -> Iterator[Constant]:
    kind, *names = path.split("/")
    if kind == "families":
        for family in engine.families:
            yield from _family(engine, family)
    elif kind == "lane_costs":
        yield from map(_lane_cost, engine.lane_costs)
    elif kind == "rates":
        isa, types = names[0], names[1:]
        named = [rate for rate in engine.rates if rate.isa == isa and (not types or rate.type in types)]
        yield from map(_rate, named)
    elif kind == "cache_efficiency":
        yield Constant(kind, _put_cache, lambda engine: engine, 0.15, 0.95, _is_deep)
    else:
        yield _field(engine, kind)


def _bounds(name: str) -> tuple[float, float]:
    """No memory is read at more than 0.95 of its data sheet; a layer costs 5 to 500 microseconds."""
    return (0.3, 0.95) if name.endswith("efficiency") else (5e-6, 5e-4)


def _set(part: Part, name: str, value: float) -> Part:
    if name == "read_efficiency":
        return replace(part, read_efficiency=value)
    if name == "overhead_s_per_layer":
        return replace(part, overhead_s_per_layer=value)
    raise ValueError(f"{name} is not a figure that a fit can set")


def _field(engine: Engine, name: str) -> Constant:
    def put(engine: Engine, value: float) -> Engine:
        return _set(engine, name, value)

    def shows(case: Case) -> bool:
        return engine.device == "cpu" or family_of(engine, case.machine.gpus[0].name) is None

    return Constant(name, put, lambda engine: engine, *_bounds(name), shows)


def _put_cache(engine: Engine, value: float) -> Engine:
    return replace(engine, cache_efficiency=value)


def _is_deep(case: Case) -> bool:
    """Whether reading the cache takes a share of the time worth seeing."""
    return case.run.depth >= _DEEP


def _family(engine: Engine, family: GpuFamily) -> Iterator[Constant]:
    """Without a card of the family, the engine's general figures count for it."""

    def drop(engine: Engine) -> Engine:
        return replace(engine, families=tuple(f for f in engine.families if f.words != family.words))

    def shows(case: Case) -> bool:
        found = family_of(engine, case.machine.gpus[0].name)
        return found is not None and found.words == family.words

    def put(name: str) -> Callable[[Engine, float], Engine]:
        def put(engine: Engine, value: float) -> Engine:
            return _with_family(engine, family.words, name, value)

        return put

    for name in ("read_efficiency", "overhead_s_per_layer"):
        yield Constant(f"{family.words[0]}.{name}", put(name), drop, *_bounds(name), shows)


def _with_family(engine: Engine, words: tuple[str, ...], name: str, value: float) -> Engine:
    families = tuple(
        _set(family, name, value) if family.words == words else family for family in engine.families
    )
    return replace(engine, families=families)


def _lane_cost(cost: LaneCost) -> Constant:
    def put(engine: Engine, value: float) -> Engine:
        costs = (replace(c, per_weight=value) if c.types == cost.types else c for c in engine.lane_costs)
        return replace(engine, lane_costs=tuple(costs))

    def drop(engine: Engine) -> Engine:
        return replace(engine, lane_costs=tuple(c for c in engine.lane_costs if c.types != cost.types))

    def shows(case: Case) -> bool:
        return any(group.type in cost.types for group in case.groups)

    return Constant(f"lane_costs.{cost.types[0]}", put, drop, 3.0, 40.0, shows)


def _rate(rate: TypeRate) -> Constant:
    """A rate shows where its type makes up most of what a token multiplies, on a core of its ISA."""

    def same(other: TypeRate) -> bool:
        return (other.type, other.isa) == (rate.type, rate.isa)

    def put(engine: Engine, value: float) -> Engine:
        rates = (replace(r, weights_per_s=value) if same(r) else r for r in engine.rates)
        return replace(engine, rates=tuple(rates))

    def drop(engine: Engine) -> Engine:
        return replace(engine, rates=tuple(r for r in engine.rates if not same(r)))

    def shows(case: Case) -> bool:
        return isa_of(case.machine) == rate.isa and _share(case, rate.type) > 0.5

    return Constant(f"{rate.isa}.{rate.type}", put, drop, 5e9, _FASTEST_CORE, shows)


def _share(case: Case, weight_type: str) -> float:
    weights = {group.type: group.weights for group in case.groups}
    return weights.get(weight_type, 0) / sum(weights.values())
