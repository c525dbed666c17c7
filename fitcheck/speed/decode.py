"""Decode speed: tokens per second as an interval with its basis and its bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.memory import ReadGroup
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Basis, Gpu, Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Bound, CurvePoint, TokenRate
from fitcheck.schema.request import Request
from fitcheck.speed.attention import products
from fitcheck.speed.bandwidth import Bandwidth, gpu_bandwidth, read_bandwidth
from fitcheck.speed.engines import CoreRate, attention_rate, core_rate, core_speed, gpu_share, residual
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


@dataclass(frozen=True)
class Decoder:
    """A model in one format on one engine and machine, ready to ask at any depth."""

    model: Model
    groups: Sequence[ReadGroup]
    machine: Machine
    engine: Engine
    request: Request

    def at(self, depth: int) -> Decode:
        """Decode speed with ``depth`` tokens in the cache."""
        return self._at(depth, self._weights)

    def curve(self, context: int) -> tuple[CurvePoint, ...]:
        """Decode speed at the start, at half and at the full context."""
        points = []
        for depth in (0, context // 2, context):
            rate = self._at(depth, self._weights).tokens_per_s
            points.append(CurvePoint(depth, rate.low, rate.expected, rate.high))
        return tuple(points)

    def _at(self, depth: int, weights: _Weights) -> Decode:
        cost = weights.cost.attending(self._attention_s(depth, weights.bytes_per_s))
        basis = _basis(weights, cost.bound, self.engine)
        read = sum(group.bytes for group in self.groups) + self._cache_bytes(depth)
        limit = weights.bandwidth.limit_bytes_per_s / read
        return Decode(_interval(1 / cost.seconds, limit, self.engine, basis), cost.bound, basis)

    @cached_property
    def _weights(self) -> _Weights:
        """The part of a step that no depth changes."""
        return self._on_gpu(self.machine.gpus[0]) if self._gpu() else self._on_cpu()

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
        loads = (Load(group.bytes, group.weights, None) for group in self.groups)
        bytes_per_s = bandwidth.bytes_per_s * share.read_efficiency
        cost = step(loads, bytes_per_s, overhead_s=self._overhead_s(share.overhead_s_per_layer))
        return _Weights(bandwidth, bytes_per_s, cost, ())

    def _gpu(self) -> bool:
        return self.engine.device == "gpu" and bool(self.machine.gpus)

    def _cores(self) -> int | None:
        """Cores that multiply: hyperthreads share one core's arithmetic. None where unknown."""
        cores = self.machine.cores or self.machine.threads or self.request.threads
        return min(cores, self.request.threads or cores) if cores else None

    def _load(self, group: ReadGroup, rate: CoreRate | None) -> Load:
        cores = self._cores()
        return Load(group.bytes, group.weights, rate.weights_per_s * cores if rate and cores else None)

    def _attention_s(self, depth: int, bytes_per_s: float) -> float:
        """The reading of the cache beside the engine's own arithmetic, where known."""
        reading = self._cache_bytes(depth) / (bytes_per_s * self.engine.cache_efficiency)
        rate = attention_rate(self.engine, self.request.kv_type, self._flash_attention())
        cores = self._cores()
        if rate is None or cores is None:
            return reading
        core = rate.products_per_s * (core_speed(self.engine, self.machine) or 1.0)
        multiplying = products(self.model, depth, self.engine.cell_padding) / (core * cores)
        return soft_max(reading, multiplying)

    def _overhead_s(self, per_layer: float) -> float:
        return self.engine.overhead_s + per_layer * len(self.model.layers)

    def _flash_attention(self) -> bool:
        asked = self.request.flash_attention
        return self.engine.flash_attention_default if asked == "auto" else asked == "on"

    def _cache_bytes(self, depth: int) -> int:
        return kv_read_bytes(self.model, depth, self.request.kv_type)


def _basis(weights: _Weights, bound: Bound, engine: Engine) -> Basis:
    """The weakest figure that the answer leans on; runs of the person's own outdo them all."""
    if engine.calibrated_by:
        return "measured"
    leaned_on = {weights.bandwidth.basis}
    if bound == "compute":
        leaned_on |= {rate.basis for rate in weights.rates if rate}
    return next(basis for basis in _WORST_FIRST if basis in leaned_on)


def _interval(expected: float, limit: float, engine: Engine, basis: Basis) -> TokenRate:
    """Never above the limit, which contradicting residuals may not bend either."""
    spread = residual(engine, basis)
    expected = min(expected, limit)
    high = min(limit, expected * max(1.0, spread.high))
    return TokenRate(expected * min(1.0, spread.low), expected, high, limit)
