"""How fast each way of spreading a model runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fitcheck.footprint.layers import ByLayer, reads, span
from fitcheck.footprint.reads import ReadGroup
from fitcheck.footprint.residence import Residence, Spread
from fitcheck.footprint.shards import Sharded
from fitcheck.footprint.stored import Stored
from fitcheck.host import Host
from fitcheck.placement import Engines, Way
from fitcheck.schema.engine import Device, Engine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import TokenRate
from fitcheck.speed.decode import Decode, Decoder, Runner, SplitDecoder, Steps, weakest
from fitcheck.speed.disk import disk_of, reread
from fitcheck.speed.parallel import ParallelDecoder, sharing_note
from fitcheck.speed.passes import experts_met, pass_of
from fitcheck.speed.pipeline import Pipeline, Stage
from fitcheck.speed.prefill import Prefiller, Prompts

_Seat = tuple[str, Device, range | None, int, int]


@dataclass(frozen=True)
class Runners:
    """A model on the devices of a machine; what no format changes is worked out once for all."""

    model: Model
    host: Host
    _known: dict[_Seat, Runner] = field(default_factory=dict, init=False)

    def on(self, engine: Engine, layers: range | None = None, card: int = 0, cards: int = 1) -> Runner:
        """Some layers, or all, on the CPU or on the card of that number, one of ``cards`` that share them."""
        seat = (engine.name, engine.device, layers, card, cards)
        if seat not in self._known:
            host, device = self.host, self.host.device(engine, card)
            self._known[seat] = Runner(
                self.model, host.machine, engine, host.request, layers, device.card, cards, device
            )
        return self._known[seat]

    def slowest(self, engine: Engine, cards: int) -> Runner:
        """Of the first cards, which share all layers, the one that the others wait for."""
        slowest = min(range(cards), key=lambda card: self.host.device(engine, card).bytes_per_s)
        return self.on(engine, None, slowest, cards)


@dataclass(frozen=True)
class Speeds:
    """A format on a machine with an engine, to be asked for each way."""

    stored: Stored
    engines: Engines
    runners: Runners
    _known: dict[int, Steps] = field(default_factory=dict, init=False)

    def expected(self, way: Way) -> float:
        """Tokens a second at the request's depth, to choose between ways."""
        return self.at(way).tokens_per_s.expected

    def at(self, way: Way) -> Decode:
        """The decode speed at the request's depth."""
        return self.decoder(way).at(self.runners.host.request.depth)

    def decoder(self, way: Way) -> Steps:
        if id(way) not in self._known:
            self._known[id(way)] = self._decoder(way)
        return self._known[id(way)]

    def _decoder(self, way: Way) -> Steps:
        if way.sharded:
            return ParallelDecoder(self._sharing(way.sharded), way.sharded.shard)
        if way.home is None or way.spread is None or _in_one(way):
            return self.runners.on(self._engine(way)).decoder(self.stored.groups)
        parts = tuple(self._parts(way.home, way.spread))
        return SplitDecoder(parts, len(parts) - 1 + 2 * way.cpu_moe_layers)

    def prefiller(self, way: Way) -> Prompts | None:
        """The way a prompt is taken in; None where nobody measured several such devices."""
        if _in_one(way):
            return Prefiller(self.runners.on(self._engine(way)), self.stored.groups)
        engine = self.engines.gpu
        if way.spread is None or way.spread.ram or not way.spread.pipelined or engine is None:
            return None
        return self._pipeline(engine, way.spread)

    def _pipeline(self, engine: Engine, spread: Spread) -> Prompts | None:
        """Cards that hold layers; the output, which one token of a prompt asks for, counts as none."""
        queued = engine.prefill.queued_layers if engine.prefill else None
        if queued is None:
            return None
        stages = (
            Stage(Prefiller(self.runners.on(engine, None, card), self.stored.groups), layers)
            for card, layers in enumerate(spread.within)
            if layers
        )
        return Pipeline(tuple(stages), queued)

    def cards_note(self, way: Way) -> str | None:
        """How several cards are used; None where it is one at most."""
        if way.sharded:
            present = len(self.runners.host.budget.cards)
            return sharing_note(self._sharing(way.sharded), way.sharded.shard.cards, present)
        several = way.spread is not None and len(way.spread.ends) > 1
        return _IN_TURN if several else None

    def _sharing(self, parts: Sharded) -> Runner:
        assert self.engines.gpu is not None
        return self.runners.slowest(self.engines.gpu, parts.shard.cards)

    def _engine(self, way: Way) -> Engine:
        engine = self.engines.gpu if way.gpu else self.engines.cpu
        assert engine is not None
        return engine

    def _parts(self, home: Residence, spread: Spread) -> Iterator[Decoder]:
        """What each device does for a token, those that hold nothing left out."""
        weights = home.weights
        if spread.experts_in_ram and self.engines.cpu:
            groups = reads(weights, spread.ram, spread.experts, weights.table_reads)
            yield self.runners.on(self.engines.cpu, spread.ram).decoder(groups)
        assert self.engines.gpu is not None
        for card, layers in enumerate(spread.cards):
            if layers:
                groups = _card_reads(home, weights, layers, spread.experts)
                inside = range(layers.start, min(layers.stop, home.layers - 1))
                yield self.runners.on(self.engines.gpu, inside, card).decoder(groups)

    def from_disk(self, way: Way) -> Decode | None:
        """The speed where weights in RAM are evicted and read again; None without room to work in."""
        dense, experts_read, experts, weights = self._mapped_reads(way)
        cache = (way.seats[-1].usable_bytes or 0) - (way.needs[-1] - weights)
        if cache <= 0:
            return None
        disk, again = disk_of(self.runners.host.machine.storage), reread(cache, dense, experts_read, experts)
        decode, gained = self.at(way), pass_of(self.runners.host.request).gained
        rate = decode.tokens_per_s
        low, expected, high = (
            1 / (1 / speed + missing / gained / disk.bytes_per_s)
            for speed, missing in (
                (rate.low, again.most),
                (rate.expected, again.expected),
                (rate.high, again.least),
            )
        )
        limit = min(rate.limit, gained * disk.bytes_per_s / again.least) if again.least else rate.limit
        # How an operating system evicts is assumed, whatever the disk was measured at.
        return Decode(TokenRate(low, expected, high, limit), "disk", weakest((decode.basis, "assumed")))

    def _mapped_reads(self, way: Way) -> tuple[int, int, int, int]:
        """Of weights in RAM: read by each pass, by its experts, of all experts, and all bytes there are."""
        met = experts_met(self.runners.model, pass_of(self.runners.host.request).tokens)
        if way.home is None or way.spread is None:
            stored = self.stored
            whole = sum(group.bytes for group in stored.groups)
            read = stored.expert_bytes_read
            return whole - read, round(read * met), stored.expert_bytes, stored.weights_bytes
        weights, spread = way.home.weights, way.spread
        dense = _total(reads(weights, spread.ram, range(0), weights.table_reads))
        experts = _total(reads(weights, range(0), spread.experts))
        return (
            dense,
            round(experts * met),
            span(weights.experts, spread.experts),
            way.home.ram_weights(spread),
        )


_IN_TURN = (
    "the cards hold layers in turn: more of them add memory, not speed of decoding; "
    "a long prompt's micro-batches overlap"
)


def _in_one(way: Way) -> bool:
    """Whether one device does all of the work."""
    if way.sharded:
        return way.sharded.shard.cards == 1
    return way.spread is None or (len(way.spread.ends) == 1 and not way.spread.experts_in_ram)


def _card_reads(home: Residence, weights: ByLayer, layers: range, in_ram: range) -> tuple[ReadGroup, ...]:
    experts = range(max(layers.start, in_ram.stop), layers.stop)
    outside = weights.output_reads if layers.stop == home.layers else ()
    return reads(weights, layers, experts, outside)


def _total(groups: tuple[ReadGroup, ...]) -> int:
    return sum(group.bytes for group in groups)
