"""One format judged: where it lies best, whether it fits, and how fast it runs there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

from fitcheck.flags import flags_of
from fitcheck.footprint.compute import understated
from fitcheck.footprint.conversion import conversions
from fitcheck.footprint.layers import by_layer, by_layer_of_file
from fitcheck.footprint.memory import Footprint, footprint, max_context
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.repack import AS_IT_LIES, Repacked, repacked
from fitcheck.footprint.residence import items_beside, weight_items
from fitcheck.footprint.shards import shard_of, shard_of_file
from fitcheck.footprint.stored import Stored
from fitcheck.footprint.tensors import layout, parameters
from fitcheck.host import Host
from fitcheck.pace import Runners, Speeds
from fitcheck.placement import Engines, Way, seat_of
from fitcheck.schema.engine import OWN_ENGINE
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Conversion, Fits, FormatPlan, MemoryItem, Placement
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Decode
from fitcheck.spreader import Held, Spreader
from fitcheck.units import gib
from fitcheck.verdict import quality_note, why

# Below this share of the memory a fit is tight: the allocator's slack, a second
# program or a longer prompt is enough to break it.
TIGHT_SHARE = 0.05


class Judged:
    """A format in the fastest way that fits, else in the one that comes nearest."""

    def __init__(
        self,
        stored: Stored,
        way: Way,
        longest: Callable[[], int],
        *,
        engines: Engines | None = None,
        speed: Callable[[], Decode | None] = lambda: None,
        speeds: Speeds | None = None,
        note: str | None = None,
        refused: bool = False,
    ) -> None:
        self.stored, self.way = stored, way
        self.longest = longest  # context
        self.engines = engines  # None: nobody runs it here
        self.speeds, self.speed = speeds, speed  # where it fits
        self.note = note
        self.refused = refused  # known not to run here, whatever fits
        self.fits: Fits = "no" if refused or not way.fits else "tight" if _is_tight(way) else "yes"

    @cached_property
    def decode(self) -> Decode | None:
        """None: unknown, or it doesn't fit. Most formats are asked no more than whether they fit."""
        return self.speed()

    @property
    def tokens_per_s(self) -> float:
        return self.decode.tokens_per_s.expected if self.decode else 0.0


@dataclass(frozen=True)
class Judge:
    """A model on a machine: what stays the same from format to format."""

    model: Model
    host: Host
    request: Request
    context: int
    _spreaders: dict[str, Spreader] = field(default_factory=dict, init=False, repr=False, compare=False)

    def plan(self, stored: Stored) -> FormatPlan:
        """The row of a format."""
        return self.row(self.judge(stored))

    def judge(self, stored: Stored) -> Judged:
        """Where a format lies best, and how fast it runs there."""
        engines = self.host.engines_of(stored)
        if engines is None:
            return self._unrun(stored, self.host.why_no_engine(stored), refused=self.host.refuses(stored))
        spreader, held = self._spreader(engines), self._held(stored)
        ways = list(spreader.ways(held, self.context))
        if not ways:
            return self._unrun(stored, self._no_way(engines), refused=True)
        speeds, longest = Speeds(stored, engines, self._runners), partial(spreader.longest, held)
        if fitting := [way for way in ways if way.fits]:
            best = self._fastest(fitting, speeds)
            return Judged(
                stored, best, longest, engines=engines, speed=partial(speeds.at, best), speeds=speeds
            )
        if mapped := [way for way in ways if self._mapped(engines) and _short_of_ram_only(way)]:
            best = self._fastest(mapped, speeds)
            return Judged(stored, best, longest, engines=engines, speed=partial(speeds.from_disk, best))
        return Judged(stored, max(ways, key=_headroom), longest, engines=engines)

    def _no_way(self, engines: Engines) -> str:
        """Why an engine that runs the format has nowhere to put it."""
        if engines.gpu and self.host.budget.cards:
            return f"{engines.name} takes all layers onto GPUs, or none"
        return f"{engines.name} needs {'a GPU' if engines.cpu is None else 'a CPU'}"

    def _fastest(self, ways: list[Way], speeds: Speeds) -> Way:
        """On unified memory the GPU's, which comes first: it leaves the cores to others."""
        if self.host.budget.unified or len(ways) == 1:
            return ways[0]
        return max(ways, key=speeds.expected)

    def row(self, judged: Judged) -> FormatPlan:
        """All that is to be said of it."""
        stored, way, engines, decode, speeds = (
            judged.stored,
            judged.way,
            judged.engines,
            judged.decode,
            judged.speeds,
        )
        beside, place, longest = self._beside(engines), self._placement(way, engines), judged.longest()
        memory = self._items(judged)
        prefiller, steps = speeds.prefiller(way) if speeds else None, self._conversions(stored, engines)
        return FormatPlan(
            format=stored.format,
            engine=engines.name if engines else stored.engines[0],
            bits_per_weight=bits_per_weight(self.model, stored),
            weights_bytes=stored.weights_bytes,
            kv_bytes=beside.kv_bytes,
            compute_bytes=sum([item.bytes for item in memory if item.what.endswith(" buffer")]),
            runtime_bytes=beside.runtime_bytes,
            total_bytes=_resident(memory),
            fits=judged.fits,
            headroom_bytes=way.headroom_bytes,
            max_context=longest,
            why=judged.note
            if judged.refused and judged.note
            else why(judged.fits, way.headroom_bytes, longest, stored.weights_bytes, place),
            needs_native_training=needs_native_training(self.model, stored),
            decode_tokens_per_s=decode.tokens_per_s if decode else None,
            decode_bound=decode.bound if decode else None,
            speed_basis=decode.basis if decode else None,
            decode_curve=speeds.decoder(way).curve(self.context) if speeds else (),
            prefill_tokens_per_s=prefiller.tokens_per_s() if prefiller else None,
            ttft_s=prefiller.seconds(self.request.prompt or self.context) if prefiller else None,
            quality_note=quality_note(stored.ternary, self.model, stored.format),
            notes=tuple(self._notes(judged, steps)),
            peak_bytes=sum([item.bytes for item in memory]),
            memory=memory,
            placement=place if engines else None,
            conversions=steps,
        )

    def total_bytes(self, judged: Judged) -> int:
        """What must stay resident for full speed, on all devices."""
        return _resident(self._items(judged))

    def all_on_gpus(self, judged: Judged) -> bool:
        """Whether no layer, nor its experts, stays in RAM."""
        way = judged.way
        if judged.engines is None or way.cpu_moe_layers:
            return False
        return way.gpu if way.home is None else way.gpu_layers == self._layers

    def _notes(self, judged: Judged, steps: tuple[Conversion, ...]) -> Iterator[str]:
        yield from judged.stored.notes
        if judged.note:
            yield judged.note
        if judged.speeds and (note := judged.speeds.cards_note(judged.way)):
            yield note
        if judged.engines:
            memory = judged.engines.memory
            yield from memory.notes
            if not memory.buffers and (note := understated(self.model, self.request.slots)):
                yield note
        if judged.engines and judged.engines.name == OWN_ENGINE:
            yield _OWN
        yield from self._too_large_to_make(steps)

    def _unrun(self, stored: Stored, note: str, *, refused: bool) -> Judged:
        """A format that no engine is known to run here: its bytes, all in the main memory."""
        pool, need = self.host.budget.main, stored.weights_bytes + self._bare.total_bytes
        way = Way((seat_of(pool),), (need,), gpu=pool.kind != "ram")

        def longest() -> int:
            if refused:
                return 0
            return max_context(self.model, stored.weights_bytes, self.request, pool.usable_bytes)

        return Judged(stored, way, longest, note=note, refused=refused)

    def _conversions(self, stored: Stored, engines: Engines | None) -> tuple[Conversion, ...]:
        """What making the format takes; a file is made already."""
        if stored.file or engines is None:
            return ()
        return conversions(self.model, stored.format, stored.weights_bytes, engines.memory)

    def _too_large_to_make(self, steps: Iterable[Conversion]) -> Iterator[str]:
        """Steps that need more memory than the machine has."""
        ram = self.host.machine.ram_bytes
        for step in steps:
            if ram is not None and step.ram_bytes is not None and step.ram_bytes > ram:
                yield f"{step.step} takes {gib(step.ram_bytes)} of RAM, more than there is"

    def _beside(self, engines: Engines | None) -> Footprint:
        """What is needed beside the weights, all in one memory, by the engine's own account if it has one."""
        return self._spreader(engines).beside(self.context) if engines else self._bare

    @cached_property
    def _bare(self) -> Footprint:
        """The same of an engine that nobody knows."""
        return footprint(self.model, 0, self.request, self.context)

    def _items(self, judged: Judged) -> tuple[MemoryItem, ...]:
        stored, way, engines = judged.stored, judged.way, judged.engines
        mapped = engines is not None and self._mapped(engines)
        if way.sharded:
            return way.sharded.items(self.host.card_names)
        if way.home and way.spread:
            return way.home.items(way.spread, self.host.card_names, mapped=mapped)
        copies = self._repacked(stored, way, engines)
        weights = weight_items(stored.weights_bytes, mapped=mapped, repacked=copies)
        beside = items_beside(self.model, self._beside(engines), self.request.slots)
        return (*[item for item in weights if item.bytes], *beside)

    def _mapped(self, engines: Engines) -> bool:
        return engines.memory.mapped and self.request.mmap and self.host.budget.maps_files

    def _repacked(self, stored: Stored, way: Way, engines: Engines | None) -> Repacked:
        """Weights that a CPU rearranges; beside a card llama.cpp's buffers for that come too late."""
        if engines is None or way.gpu or not (engines.memory.repacks and self.request.repack):
            return AS_IT_LIES
        if stored.format not in FORMATS or stored.file:
            return AS_IT_LIES
        return repacked(self.model, stored.format, self.host.machine.simd)

    def _placement(self, way: Way, engines: Engines | None) -> Placement:
        whole_on_gpu = way.gpu and way.home is None
        return Placement(
            gpu_layers=self._layers if whole_on_gpu else way.gpu_layers,
            layers_total=self._layers,
            cpu_moe_layers=way.cpu_moe_layers,
            devices=way.devices,
            flags=flags_of(way, engines, self.request, self.context, self.host.budget) if engines else (),
        )

    def _spreader(self, engines: Engines) -> Spreader:
        if engines.name not in self._spreaders:
            self._spreaders[engines.name] = Spreader(self.model, self.host.seating(engines))
        return self._spreaders[engines.name]

    def _held(self, stored: Stored) -> Held:
        if file := stored.file:
            layers, shard = partial(by_layer_of_file, self.model, file), partial(shard_of_file, file)
        else:
            layers = partial(by_layer, self.model, stored.format)
            shard = partial(shard_of, self.model, stored.format)
        return Held(stored.weights_bytes, layers, shard)

    @cached_property
    def _layers(self) -> int:
        """The output counted."""
        return layout(self.model).facts.layers_in_file + 1

    @cached_property
    def _runners(self) -> Runners:
        return Runners(self.model, self.host)


def bits_per_weight(model: Model, stored: Stored) -> float:
    return 8 * stored.weights_bytes / parameters(model)


def needs_native_training(model: Model, stored: Stored) -> bool:
    return stored.ternary and not model.trained_ternary


_OWN = "fitcheck's own packing, for measuring: no engine loads it"


def _short_of_ram_only(way: Way) -> bool:
    """Whether the file could be mapped and run from the disk: what cards hold must fit."""
    rooms = zip(way.seats, way.rooms, strict=True)
    return {seat.kind for seat, room in rooms if room is not None and room < 0} == {"ram"}


def _is_tight(way: Way) -> bool:
    """Cards that share the layers with RAM are filled on purpose."""
    filled = way.spread is not None and way.spread.experts_in_ram > 0
    for seat, room in zip(way.seats, way.rooms, strict=True):
        on_purpose = filled and seat.kind == "gpu"
        if room is not None and not on_purpose and room < TIGHT_SHARE * seat.memory_bytes:
            return True
    return False


def _resident(memory: Iterable[MemoryItem]) -> int:
    return sum([item.bytes for item in memory if item.resident])


def _headroom(way: Way) -> int:
    return way.headroom_bytes
