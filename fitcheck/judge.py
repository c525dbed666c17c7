"""One format judged: where it lies best, whether it fits, and how fast it runs there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fitcheck.budget import Budget
from fitcheck.flags import flags_of
from fitcheck.footprint.compute import understated
from fitcheck.footprint.conversion import conversions
from fitcheck.footprint.layers import ByLayer, by_layer, by_layer_of_file
from fitcheck.footprint.memory import Footprint, footprint, max_context
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.repack import AS_IT_LIES, Repacked, repacked
from fitcheck.footprint.residence import items_in_one
from fitcheck.footprint.stored import Stored
from fitcheck.footprint.tensors import layout, parameters
from fitcheck.pace import Runners, Speeds
from fitcheck.placement import Engines, Spreader, Way
from fitcheck.schema.engine import OWN_ENGINE, Device, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Conversion, DeviceUse, Fits, FormatPlan, MemoryItem, Placement
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Decode
from fitcheck.units import gib
from fitcheck.verdict import quality_note, why

# Below this share of the memory a fit is tight: the allocator's slack, a second
# program or a longer prompt is enough to break it.
TIGHT_SHARE = 0.05


@dataclass(frozen=True)
class Judge:
    """What stays the same from format to format."""

    model: Model
    machine: Machine
    request: Request
    context: int
    budget: Budget
    engines: Sequence[Engine]

    def plan(self, stored: Stored) -> FormatPlan:
        """The row of a format, in the fastest way that fits, else in the one that comes nearest."""
        engines = self._engines(stored)
        if engines is None:
            return self._unrun(stored, self._no_engine(stored))
        spreader = self._spreader(stored, engines)
        ways = list(spreader.ways(self.context))
        if not ways:
            return self._unrun(stored, self._no_way(engines))
        speeds = Speeds(stored, engines, self._runners)
        if fitting := [way for way in ways if way.fits]:
            best = self._fastest(fitting, speeds)
            return self._row(stored, best, spreader, speeds.at(best), speeds)
        mapped = [way for way in ways if self._mapped(engines) and _short_of_ram_only(way)]
        if mapped:
            best = self._fastest(mapped, speeds)
            return self._row(stored, best, spreader, speeds.from_disk(best), None)
        return self._row(stored, max(ways, key=lambda way: way.headroom_bytes), spreader, None, None)

    def _no_way(self, engines: Engines) -> str:
        """Why an engine that runs the format has nowhere to put it."""
        if engines.gpu and self.budget.cards:
            return f"{engines.name} takes all layers onto GPUs, or none"
        return f"{engines.name} needs {'a GPU' if engines.cpu is None else 'a CPU'}"

    def _fastest(self, ways: list[Way], speeds: Speeds) -> Way:
        """On unified memory the GPU's, which comes first: it leaves the cores to others."""
        if self.budget.unified or len(ways) == 1:
            return ways[0]
        return max(ways, key=speeds.expected)

    def _row(
        self, stored: Stored, way: Way, spreader: Spreader, decode: Decode | None, speeds: Speeds | None
    ) -> FormatPlan:
        """A format in one way, with its speed where it is known; ``speeds`` draws the curve."""
        engines = spreader.engines
        prefiller, steps = speeds.prefiller(way) if speeds else None, self._conversions(stored, engines)
        return FormatPlan(
            **self._common(stored, way, engines, spreader.longest()),
            engine=engines.name,
            notes=tuple(self._notes(stored, engines, steps)),
            conversions=steps,
            decode_tokens_per_s=decode.tokens_per_s if decode else None,
            decode_bound=decode.bound if decode else None,
            speed_basis=decode.basis if decode else None,
            decode_curve=speeds.decoder(way).curve(self.context) if speeds else (),
            prefill_tokens_per_s=prefiller.tokens_per_s() if prefiller else None,
            ttft_s=prefiller.seconds(self.request.prompt or self.context) if prefiller else None,
        )

    def _notes(self, stored: Stored, engines: Engines, steps: tuple[Conversion, ...]) -> Iterator[str]:
        yield from stored.notes
        memory = engines.any.memory
        yield from memory.notes
        if not memory.buffers and (note := understated(self.model, self.request.slots)):
            yield note
        if engines.name == OWN_ENGINE:
            yield _OWN
        yield from self._too_large_to_make(steps)

    def _unrun(self, stored: Stored, note: str) -> FormatPlan:
        """The row of a format that no engine runs here: its bytes, all in the main memory."""
        pool, need = self.budget.main, self._need(stored).total_bytes
        way = Way((DeviceUse(pool.name, pool.kind, pool.usable_bytes, need),), gpu=pool.kind != "ram")
        longest = max_context(self.model, stored.weights_bytes, self.request, pool.usable_bytes)
        return FormatPlan(
            **self._common(stored, way, None, longest),
            engine=stored.engines[0],
            notes=(*stored.notes, note),
        )

    def _common(self, stored: Stored, way: Way, engines: Engines | None, longest: int) -> dict[str, Any]:
        """The fields that any row has, whether an engine runs it or not."""
        need, fits, place = self._need(stored, engines), self._fits(way), self._placement(way, engines)
        memory = self._items(stored, way, engines, need)
        return {
            "format": stored.format,
            "bits_per_weight": 8 * stored.weights_bytes / parameters(self.model),
            "weights_bytes": stored.weights_bytes,
            "kv_bytes": need.kv_bytes,
            "compute_bytes": sum(item.bytes for item in memory if item.what.endswith(" buffer")),
            "runtime_bytes": need.runtime_bytes,
            "total_bytes": sum(item.bytes for item in memory if item.resident),
            "peak_bytes": sum(item.bytes for item in memory),
            "memory": memory,
            "placement": place if engines else None,
            "fits": fits,
            "headroom_bytes": way.headroom_bytes,
            "max_context": longest,
            "why": why(fits, way.headroom_bytes, longest, stored.weights_bytes, place),
            "needs_native_training": stored.ternary and not self.model.trained_ternary,
            "quality_note": quality_note(stored.ternary, self.model, stored.format),
        }

    def _conversions(self, stored: Stored, engines: Engines) -> tuple[Conversion, ...]:
        """What making the format takes; a file is made already."""
        if stored.file:
            return ()
        return conversions(self.model, stored.format, stored.weights_bytes, engines.any.memory)

    def _too_large_to_make(self, steps: Iterable[Conversion]) -> Iterator[str]:
        """Steps that need more memory than the machine has."""
        ram = self.machine.ram_bytes
        for step in steps:
            if ram is not None and step.ram_bytes is not None and step.ram_bytes > ram:
                yield f"{step.step} takes {gib(step.ram_bytes)} of RAM, more than there is"

    def _need(self, stored: Stored, engines: Engines | None = None) -> Footprint:
        """All in one memory, with the engine's own buffers where it has any."""
        buffers = engines.any.memory.buffers if engines else ()
        return footprint(self.model, stored.weights_bytes, self.request, self.context, buffers)

    def _items(
        self, stored: Stored, way: Way, engines: Engines | None, need: Footprint
    ) -> tuple[MemoryItem, ...]:
        mapped = engines is not None and self._mapped(engines)
        if way.home and way.spread:
            names = tuple(card.name for card in self.budget.cards)
            return way.home.items(way.spread, names, mapped=mapped)
        copies = self._repacked(stored, way, engines)
        return items_in_one(self.model, need, self.request.slots, mapped=mapped, repacked=copies)

    def _mapped(self, engines: Engines) -> bool:
        return engines.any.memory.mapped and self.request.mmap and self.budget.maps_files

    def _repacked(self, stored: Stored, way: Way, engines: Engines | None) -> Repacked:
        """Weights that a CPU rearranges; beside a card llama.cpp's buffers for that come too late."""
        if engines is None or way.gpu or not (engines.any.memory.repacks and self.request.repack):
            return AS_IT_LIES
        if stored.format not in FORMATS or stored.file:
            return AS_IT_LIES
        return repacked(self.model, stored.format, self.machine.simd)

    def _placement(self, way: Way, engines: Engines | None) -> Placement:
        layers = layout(self.model).facts.layers_in_file + 1
        whole_on_gpu = way.gpu and way.home is None
        return Placement(
            gpu_layers=layers if whole_on_gpu else way.gpu_layers,
            layers_total=layers,
            cpu_moe_layers=way.cpu_moe_layers,
            devices=way.devices,
            flags=flags_of(way, engines, self.request, self.context, self.budget) if engines else (),
        )

    def _fits(self, way: Way) -> Fits:
        if not way.fits:
            return "no"
        return "tight" if any(self._tight(way, use) for use in way.devices) else "yes"

    def _tight(self, way: Way, use: DeviceUse) -> bool:
        """A card that shares the layers with RAM is filled on purpose."""
        if use.usable_bytes is None or (use.kind == "gpu" and way.spread and way.spread.experts):
            return False
        pools = (self.budget.unified, self.budget.ram, *self.budget.cards)
        memory = next(p.memory_bytes for p in pools if p and (p.name, p.kind) == (use.name, use.kind))
        return use.usable_bytes - use.need_bytes < TIGHT_SHARE * memory

    def _spreader(self, stored: Stored, engines: Engines) -> Spreader:
        def layers() -> ByLayer:
            if stored.file:
                return by_layer_of_file(self.model, stored.file)
            return by_layer(self.model, stored.format)

        return Spreader(self.model, stored.weights_bytes, layers, self.request, self.budget, engines)

    def _engines(self, stored: Stored) -> Engines | None:
        """The first of the format's engines that this machine can use, or the one asked for."""
        if self._refusal(stored):
            return None
        wanted = (self.request.engine,) if self.request.engine else stored.engines
        found = (Engines(self._profile(name, "cpu"), self._profile(name, "gpu")) for name in wanted)
        return next((engines for engines in found if engines.cpu or engines.gpu), None)

    def _profile(self, name: str, device: Device) -> Engine | None:
        """The engine on this kind of device, where the machine has one that it is made for."""
        return self._usable.get((name, device))

    @cached_property
    def _runners(self) -> Runners:
        return Runners(self.model, self.machine, self.request)

    @cached_property
    def _usable(self) -> dict[tuple[str, Device], Engine]:
        gpu = bool(self.budget.cards or self.budget.unified)
        there = {"cpu": self.budget.ram is not None, "gpu": gpu}
        usable = (e for e in self.engines if there[e.device] and (e.device == "cpu" or self._made_for(e)))
        return {(engine.name, engine.device): engine for engine in usable}

    def _made_for(self, engine: Engine) -> bool:
        names = [gpu.name.lower() for gpu in self.machine.gpus]
        return not engine.vendors or all(any(vendor in name for vendor in engine.vendors) for name in names)

    def _refusal(self, stored: Stored) -> str | None:
        """Why the format can't run here at all, whatever its size."""
        asked = self.request.engine
        if asked and asked not in stored.engines and self._base(asked) not in stored.engines:
            return f"{asked} does not run {stored.format}"
        if stored.arches and self.machine.arch and self.machine.arch not in stored.arches:
            return f"{stored.format} has kernels for {' and '.join(stored.arches)} only"
        return None

    def _base(self, name: str) -> str | None:
        return next((engine.base for engine in self.engines if engine.name == name), None)

    def _no_engine(self, stored: Stored) -> str:
        device = "this GPU" if self.budget.device == "gpu" else "a CPU"
        return self._refusal(stored) or f"no measured speed of {stored.engines[0]} on {device}"


_OWN = "fitcheck's own packing, for measuring: no engine loads it"


def _short_of_ram_only(way: Way) -> bool:
    """Whether the file could be mapped and run from the disk: what cards hold must fit."""
    known = (use for use in way.devices if use.usable_bytes is not None)
    return {use.kind for use in known if use.need_bytes > (use.usable_bytes or 0)} == {"ram"}
