"""Decode speed: tokens per second as an interval with its basis and its bound."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import NamedTuple

from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.reads import ReadGroup
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Basis, Gpu, Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Bound, CurvePoint, TokenRate
from fitcheck.schema.request import Request
from fitcheck.speed.attention import attention_s
from fitcheck.speed.bandwidth import Bandwidth
from fitcheck.speed.device import Device
from fitcheck.speed.engines import CoreRate, residual
from fitcheck.speed.loads import bytes_read, known_together, loads
from fitcheck.speed.passes import Pass
from fitcheck.speed.roofline import Step, soft_max, step
from fitcheck.speed.routing import Cores, routing_s
from fitcheck.speed.vectors import numbers

_WORST_FIRST: tuple[Basis, ...] = ("assumed", "spec", "profile", "measured")


class Decode(NamedTuple):
    """How fast an engine decodes, what binds it, and how far to trust that."""

    tokens_per_s: TokenRate
    bound: Bound
    basis: Basis


class Reading(NamedTuple):
    """A memory as an engine reads it."""

    bandwidth: Bandwidth
    bytes_per_s: float  # of it, what the engine reaches
    overhead_s: float  # of a token, whatever is read


class Attended(NamedTuple):
    """What a pass costs to look at the tokens before it."""

    seconds: float
    bytes: int  # of the cache


class Cost(NamedTuple):
    """What one pass costs a device, the least physics allows, and what that rests on."""

    step: Step
    least_s: float
    basis: Basis
    engine: Engine
    draft_s: float = 0.0  # of the draft's reads, were it on this device


class Steps:
    """What takes a decode step, one device or several in turn: tokens per second from their costs."""

    def __init__(self, together: Pass) -> None:
        self.together, self._gained = together, together.gained  # the tokens of a step
        self._answers: dict[int, Decode] = {}

    def costs(self, depth: int) -> tuple[Cost, ...]:
        """Of each device, with ``depth`` tokens in the cache."""
        raise NotImplementedError

    def at(self, depth: int) -> Decode:
        """Decode speed with ``depth`` tokens in the cache."""
        if depth not in self._answers:
            self._answers[depth] = _decode(self.costs(depth), self._gained)
        return self._answers[depth]

    def curve(self, context: int) -> tuple[CurvePoint, ...]:
        """Decode speed at the start, at half and at the full context, which all sequences share."""
        each = context // self.together.sequences
        points = []
        for depth in (0, each // 2, each):
            rate = self.at(depth).tokens_per_s
            points.append(CurvePoint(depth, rate.low, rate.expected, rate.high))
        return tuple(points)


@dataclass(frozen=True)
class Runner:
    """A model on one engine and machine, or some layers of it on one device: what no format changes."""

    model: Model
    machine: Machine
    engine: Engine
    request: Request
    layers: range | None = None  # None: all
    gpu: Gpu | None = None  # None: the machine's first, for engines that run on GPUs
    cards: int = 1  # equal ones that share every layer, of which this is one
    shared: Device | None = field(default=None, repr=False, compare=False)  # with other runners on it
    _attended: dict[int, Attended] = field(default_factory=dict, init=False, repr=False, compare=False)

    def decoder(self, groups: Sequence[ReadGroup]) -> "Decoder":
        """With weights of which a token reads these groups."""
        return Decoder(self, groups)

    def attended(self, depth: int) -> Attended:
        """What ``depth`` tokens in the cache cost."""
        if depth not in self._attended:
            seconds = self._attention_s(depth, self.reading.bytes_per_s)
            self._attended[depth] = Attended(seconds, self._cache_bytes(depth))
        return self._attended[depth]

    @cached_property
    def device(self) -> Device:
        return self.shared or Device(self.machine, self.engine, self.request, self.gpu)

    @cached_property
    def reading(self) -> Reading:
        """The memory it reads, what the engine reaches of it, and what comes on top of reading."""
        device, layers = self.device, self.model.layers if self.layers is None else self.layers
        further_s = self.engine.overhead_s_per_further_token * (device.tokens - 1)
        overhead_s = self.engine.overhead_s + (device.overhead_s_per_layer + further_s) * len(layers)
        return Reading(device.bandwidth, device.bytes_per_s, overhead_s)

    @cached_property
    def beside_products_s(self) -> float:
        """What vectors and experts cost beside the products, whatever their types."""
        per_number = self.engine.overhead_s_per_number
        return (per_number * numbers(self.model, self.layers) if per_number else 0.0) + self._routing_s()

    def _routing_s(self) -> float:
        """What experts cost beside their weights; nothing where nobody measured it."""
        known, cores = self.engine.routing, self.cores
        if known is None or cores is None:
            return 0.0
        by = Cores(cores, self.device.core_speed or 1.0)
        return routing_s(self.model, known, by, self.layers)

    def rate(self, weight_type: str) -> CoreRate | None:
        """Of one core."""
        return self.device.rate(weight_type)

    @property
    def guessing(self) -> "Runner":
        """The same without guesses: a token of each sequence a pass."""
        return replace(self, request=replace(self.request, speculate=0), shared=None)

    @property
    def card(self) -> Gpu | None:
        """The GPU that computes."""
        return self.device.card

    @property
    def cores(self) -> int | None:
        return self.device.cores

    @property
    def together(self) -> Pass:
        """The tokens of a step."""
        return self.device.together

    def _attention_s(self, depth: int, bytes_per_s: float) -> float:
        """The reading of the cache beside the engine's own arithmetic, where known."""
        reading = self._cache_bytes(depth) / (bytes_per_s * self.engine.cache_efficiency)
        by = self.device.attending
        if by is None:
            return reading
        return soft_max(reading, self.device.tokens * attention_s(self.model, depth, by, self.layers))

    def _cache_bytes(self, depth: int) -> int:
        """Of each sequence its own, once for all tokens that a draft guessed for it."""
        read = kv_read_bytes(self.model, depth, self.request.kv_type, self.layers, self.cards)
        return self.together.sequences * read


class Decoder(Steps):
    """A runner with weights in one format."""

    def __init__(self, runner: Runner, groups: Sequence[ReadGroup]) -> None:
        super().__init__(runner.together)
        self.runner, self.groups = runner, groups
        self._bytes = sum([bytes_read(group, runner.model, runner.device.tokens) for group in groups])
        self._weights = self._read_and_multiplied()
        self._basis = self._resting_on()
        self._draft_s = self._drafting_s() if self.together.drafts_bytes else 0.0

    def costs(self, depth: int) -> tuple[Cost, ...]:
        """Its one cost with ``depth`` tokens in the cache."""
        runner, attended = self.runner, self.runner.attended(depth)
        step = self._weights.attending(attended.seconds)
        least_s = (self._bytes + attended.bytes) / runner.reading.bandwidth.limit_bytes_per_s
        basis = self._basis_of_rates if step.bound == "compute" else self._basis
        return (Cost(step, least_s, basis, runner.device.engine, self._draft_s),)

    def _read_and_multiplied(self) -> Step:
        """Of all weights: each type costs its bytes or its arithmetic."""
        reading, engine = self.runner.reading, self.runner.engine
        overhead_s = reading.overhead_s
        if not self.runner.card:
            overhead_s += engine.overhead_s_per_product * sum([group.matrices for group in self.groups])
            overhead_s += self.runner.beside_products_s
        model, device = self.runner.model, self.runner.device
        work = [load for group in self.groups for load in loads(group, model, device)]
        return step(work, reading.bytes_per_s, overhead_s=overhead_s)

    def _drafting_s(self) -> float:
        """Of the draft's passes, were it on this device: a byte of it costs what one of the model costs.

        It guesses token by token; some engines have it take in all that was checked, too.
        A device that reads nothing of the model, as where experts would lie that its layers have not,
        tells nothing of a draft.
        """
        if not self._bytes:
            return inf
        runner, together = self.runner, self.together
        alone = Decoder(runner.guessing, self.groups)
        guess_s, check_s = (
            one._weights.seconds * together.draft_bytes / alone._bytes for one in (alone, self)
        )
        return together.drafted * guess_s + (check_s if runner.engine.draft_checks else 0.0)

    def _resting_on(self) -> Basis:
        """The weakest figure that the answer leans on; runs of the person's own outdo them all."""
        device = self.runner.device
        if device.tokens > 1 and (self.together.drafted or not known_together(self.groups, device)):
            return "assumed"
        return "measured" if self.runner.engine.calibrated_by else self.runner.reading.bandwidth.basis

    @cached_property
    def _basis_of_rates(self) -> Basis:
        """The same where arithmetic binds, whose rates count as well."""
        if self.runner.card or self.runner.engine.calibrated_by:
            return self._basis
        rates = [self.runner.rate(group.type) for group in self.groups]
        return weakest((self._basis, *[rate.basis for rate in rates if rate]))


# A device that waits for another: a copy of one hidden row (16 KiB take 1 us of
# PCIe 3.0 x16), a launch, and a wait for it. Assumed: no published run tells it apart.
HANDOVER_S = 2e-5


class SplitDecoder(Steps):
    """Layers on several devices: each token passes through all of them, so that times add."""

    def __init__(self, parts: tuple[Decoder, ...], handovers: int) -> None:
        super().__init__(parts[0].together)
        self.parts = parts
        self.handovers = handovers  # from device to device, a token

    def costs(self, depth: int) -> tuple[Cost, ...]:
        first, *rest = (cost for part in self.parts for cost in part.costs(depth))
        waiting = Step(0.0, 0.0, 0.0, self.handovers * HANDOVER_S)
        return (first._replace(step=first.step.then(waiting)), *rest)


def _decode(costs: Sequence[Cost], gained: float) -> Decode:
    """The answer from all devices' costs; it rests on the weakest figure of any."""
    (step, least_s, basis, engine, draft_s), *rest = costs
    spread = residual(engine, basis)
    low, high = spread.low, spread.high
    if rest:
        basis = weakest(cost.basis for cost in costs)
        spreads = [residual(cost.engine, basis) for cost in costs]
        low, high = min(spread.low for spread in spreads), max(spread.high for spread in spreads)
        draft_s = min(cost.draft_s for cost in costs)  # it lies where it is fastest
    for cost in rest:
        step, least_s = step.then(cost.step), least_s + cost.least_s
    speed = _interval(gained / (step.seconds + draft_s), gained / least_s, low, high)
    return Decode(speed, step.bound, basis)


def weakest(bases: Iterable[Basis]) -> Basis:
    """The basis that an answer resting on all of them has."""
    return min(bases, key=_WORST_FIRST.index)


def _interval(expected: float, limit: float, low: float, high: float) -> TokenRate:
    """Never above the limit, which contradicting residuals may not bend either."""
    expected = min(expected, limit)
    return TokenRate(expected * min(1.0, low), expected, min(limit, expected * max(1.0, high)), limit)
