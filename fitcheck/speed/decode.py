"""Decode speed: tokens per second as an interval with its basis and its bound."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.memory import ReadGroup
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Basis, Gpu, Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Bound, CurvePoint, TokenRate
from fitcheck.schema.request import Request
from fitcheck.speed.attention import Walk, products
from fitcheck.speed.bandwidth import Bandwidth, gpu_bandwidth, read_bandwidth
from fitcheck.speed.engines import (
    CoreRate,
    attention_rate,
    core_rate,
    core_speed,
    gpu_rate,
    gpu_rate_together,
    gpu_share,
    residual,
)
from fitcheck.speed.passes import Pass, at_most, experts_met, pass_of
from fitcheck.speed.roofline import Load, Step, soft_max, step

_WORST_FIRST: tuple[Basis, ...] = ("assumed", "spec", "profile", "measured")


@dataclass(frozen=True, slots=True)
class Decode:
    """How fast an engine decodes, what binds it, and how far to trust that."""

    tokens_per_s: TokenRate
    bound: Bound
    basis: Basis


@dataclass(frozen=True, slots=True)
class _Weights:
    """What reading and multiplying all weights costs, and the figures it rests on."""

    bandwidth: Bandwidth
    bytes_per_s: float  # of it, what the engine reaches
    cost: Step
    rates: tuple[CoreRate | None, ...]


class Cost(NamedTuple):
    """What one pass costs a device, the least physics allows, and what that rests on."""

    step: Step
    least_s: float
    basis: Basis
    engine: Engine
    draft_s: float = 0.0  # of the draft's reads, were it on this device


class Steps:
    """What takes a decode step, one device or several in turn: tokens per second from their costs."""

    @cached_property
    def together(self) -> Pass:
        """The tokens of a step."""
        raise NotImplementedError

    def costs(self, depth: int) -> tuple[Cost, ...]:
        """Of each device, with ``depth`` tokens in the cache."""
        raise NotImplementedError

    def at(self, depth: int) -> Decode:
        """Decode speed with ``depth`` tokens in the cache."""
        if depth not in self._answers:
            self._answers[depth] = _decode(self.costs(depth), self.together)
        return self._answers[depth]

    def curve(self, context: int) -> tuple[CurvePoint, ...]:
        """Decode speed at the start, at half and at the full context, which all sequences share."""
        each = context // self.together.sequences
        points = []
        for depth in (0, each // 2, each):
            rate = self.at(depth).tokens_per_s
            points.append(CurvePoint(depth, rate.low, rate.expected, rate.high))
        return tuple(points)

    @cached_property
    def _answers(self) -> dict[int, Decode]:
        return {}


@dataclass(frozen=True)
class Decoder(Steps):
    """A model in one format on one engine and machine, or some layers of it on one device."""

    model: Model
    groups: Sequence[ReadGroup]
    machine: Machine
    engine: Engine
    request: Request
    layers: range | None = None  # None: all
    gpu: Gpu | None = None  # None: the machine's first, for engines that run on GPUs

    def costs(self, depth: int) -> tuple[Cost, ...]:
        """Its one cost with ``depth`` tokens in the cache."""
        weights, together = self._weights, self.together
        step = weights.cost.attending(self._attention_s(depth, weights.bytes_per_s))
        read = sum(map(self._bytes, self.groups)) + self._cache_bytes(depth)
        least_s = read / weights.bandwidth.limit_bytes_per_s
        basis = _basis(weights, step.bound, self.engine) if together.tokens == 1 else "assumed"
        draft_s = together.drafts_bytes / weights.bytes_per_s
        return (Cost(step, least_s, basis, self.engine, draft_s),)

    @cached_property
    def together(self) -> Pass:
        return pass_of(self.request)

    def _bytes(self, group: ReadGroup) -> float:
        """Read by a pass: more experts than by a token, everything else once."""
        if not group.expert_bytes or self.together.tokens == 1:
            return group.bytes
        return group.bytes + group.expert_bytes * (experts_met(self.model, self.together.tokens) - 1)

    @cached_property
    def _weights(self) -> _Weights:
        """The part of a step that no depth changes."""
        if self.engine.device == "gpu" and (card := self.gpu or next(iter(self.machine.gpus), None)):
            return self._on_gpu(card)
        return self._on_cpu()

    def _on_cpu(self) -> _Weights:
        """Each type costs its bytes or its arithmetic, on the cores that share the work."""
        engine = self.engine
        bandwidth = read_bandwidth(self.machine, self.request.threads, engine.pages)
        rates = tuple(core_rate(engine, self.machine, group.type) for group in self.groups)
        loads = map(self._load, self.groups, rates)
        bytes_per_s = bandwidth.bytes_per_s * engine.read_efficiency
        products_s = engine.overhead_s_per_product * sum(group.matrices for group in self.groups)
        overhead_s = self._overhead_s(engine.overhead_s_per_layer) + products_s
        cost = step(loads, bytes_per_s, overhead_s=overhead_s)
        return _Weights(bandwidth, bytes_per_s, cost, rates)

    def _on_gpu(self, gpu: Gpu) -> _Weights:
        """Bytes at the share of the data sheet's bandwidth the engine reaches, and launches."""
        bandwidth, share = gpu_bandwidth(self.machine, gpu), gpu_share(self.engine, gpu.name)
        loads = (
            self._work(g, gpu_rate(self.engine, gpu, g.type), gpu_rate_together(self.engine, gpu, g.type))
            for g in self.groups
        )
        bytes_per_s = bandwidth.bytes_per_s * share.read_efficiency
        cost = step(loads, bytes_per_s, overhead_s=self._overhead_s(share.overhead_s_per_layer))
        return _Weights(bandwidth, bytes_per_s, cost, ())

    def _cores(self) -> int | None:
        """Cores that multiply: hyperthreads share one core's arithmetic. None where unknown."""
        cores = self.machine.cores or self.machine.threads or self.request.threads
        return min(cores, self.request.threads or cores) if cores else None

    def _load(self, group: ReadGroup, rate: CoreRate | None) -> Load:
        cores = self._cores()
        return self._work(group, rate.of(cores) if rate and cores else None)

    def _work(self, group: ReadGroup, alone: float | None, together: float | None = None) -> Load:
        """A pass never takes less than one token alone, whatever products of many tokens reach."""
        tokens = self.together.tokens
        rate = alone if tokens == 1 else at_most(alone, together, tokens)
        return Load(self._bytes(group), group.weights * tokens, rate)

    def _attention_s(self, depth: int, bytes_per_s: float) -> float:
        """The reading of the cache beside the engine's own arithmetic, where known."""
        reading = self._cache_bytes(depth) / (bytes_per_s * self.engine.cache_efficiency)
        rate = attention_rate(self.engine, self.request.kv_type, self._flash_attention())
        cores = self._cores()
        if rate is None or cores is None:
            return reading
        core = rate.products_per_s * (core_speed(self.engine, self.machine) or 1.0)
        walk = Walk(self.engine.cell_padding, rate.skips_masked, rate.shares_cells_from, cores)
        asked = self.together.tokens * products(self.model, depth, walk, self.layers)
        return soft_max(reading, asked / (core * cores))

    def _overhead_s(self, per_layer: float) -> float:
        layers = self.model.layers if self.layers is None else self.layers
        return self.engine.overhead_s + per_layer * len(layers)

    def _flash_attention(self) -> bool:
        asked = self.request.flash_attention
        return self.engine.flash_attention_default if asked == "auto" else asked == "on"

    def _cache_bytes(self, depth: int) -> int:
        """Of each sequence its own, once for all tokens that a draft guessed for it."""
        return self.together.sequences * kv_read_bytes(self.model, depth, self.request.kv_type, self.layers)


# A device that waits for another: a copy of one hidden row (16 KiB take 1 us of
# PCIe 3.0 x16), a launch, and a wait for it. Assumed: no published run tells it apart.
HANDOVER_S = 2e-5


@dataclass(frozen=True)
class SplitDecoder(Steps):
    """Layers on several devices: each token passes through all of them, so that times add."""

    parts: tuple[Decoder, ...]
    handovers: int  # from device to device, a token

    @cached_property
    def together(self) -> Pass:
        return self.parts[0].together

    def costs(self, depth: int) -> tuple[Cost, ...]:
        first, *rest = (cost for part in self.parts for cost in part.costs(depth))
        waiting = Step(0.0, 0.0, 0.0, self.handovers * HANDOVER_S)
        return (first._replace(step=first.step + waiting), *rest)


def _decode(costs: Sequence[Cost], together: Pass) -> Decode:
    """The answer from all devices' costs; it rests on the weakest figure of any."""
    first, *rest = costs
    step, least_s, basis, engine, _ = first
    spread = residual(engine, basis)
    low, high = spread.low, spread.high
    if rest:
        basis = weakest(cost.basis for cost in costs)
        spreads = [residual(cost.engine, basis) for cost in costs]
        low, high = min(spread.low for spread in spreads), max(spread.high for spread in spreads)
    for cost in rest:
        step, least_s = step + cost.step, least_s + cost.least_s
    gained, draft_s = together.gained, min(cost.draft_s for cost in costs)  # it lies where it is fastest
    speed = _interval(gained / (step.seconds + draft_s), gained / least_s, low, high)
    return Decode(speed, step.bound, basis)


def weakest(bases: Iterable[Basis]) -> Basis:
    """The basis that an answer resting on all of them has."""
    given = set(bases)
    return next(basis for basis in _WORST_FIRST if basis in given)


def _basis(weights: _Weights, bound: Bound, engine: Engine) -> Basis:
    """The weakest figure that the answer leans on; runs of the person's own outdo them all."""
    if engine.calibrated_by:
        return "measured"
    leaned_on = {weights.bandwidth.basis}
    if bound == "compute":
        leaned_on |= {rate.basis for rate in weights.rates if rate}
    return weakest(leaned_on)


def _interval(expected: float, limit: float, low: float, high: float) -> TokenRate:
    """Never above the limit, which contradicting residuals may not bend either."""
    expected = min(expected, limit)
    return TokenRate(expected * min(1.0, low), expected, min(limit, expected * max(1.0, high)), limit)
