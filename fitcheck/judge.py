"""One format judged: where it lies best, whether it fits, and how fast it runs there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fitcheck.budget import Budget
from fitcheck.flags import flags_of
from fitcheck.footprint.conversion import conversions
from fitcheck.footprint.layers import ByLayer, by_layer, by_layer_of_file
from fitcheck.footprint.memory import footprint
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.repack import repacked_bytes
from fitcheck.footprint.residence import items_in_one
from fitcheck.footprint.stored import Stored
from fitcheck.footprint.tensors import layout, parameters
from fitcheck.pace import Speeds
from fitcheck.placement import Engines, Spreader, Way
from fitcheck.schema.engine import OWN_ENGINE, Device, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import DeviceUse, Fits, FormatPlan, MemoryItem, Placement
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Decode
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
            return _noted(self._row(stored, self._anyhow(stored), None), self._no_engine(stored))
        spreader = self._spreader(stored, engines)
        ways = list(spreader.ways(self.context))
        if not ways:
            where = "a GPU" if engines.cpu is None else "a CPU"
            return _noted(self._row(stored, self._anyhow(stored), None), f"{engines.name} needs {where}")
        speeds = Speeds(self.model, stored, self.machine, engines, self.request)
        return self._judged(stored, spreader, ways, speeds)

    def _judged(self, stored: Stored, spreader: Spreader, ways: list[Way], speeds: Speeds) -> FormatPlan:
        """The row with its speed, from the disk where nothing fits but could be mapped."""
        if fitting := [way for way in ways if way.fits]:
            best = fitting[0] if self.budget.unified else max(fitting, key=speeds.expected)
            decoder = speeds.decoder(best)
            decode: Decode | None = decoder.at(self.request.depth)
            curve = decoder.curve(self.context)
        else:
            nearest = max(ways, key=lambda way: way.headroom_bytes)
            mapped = [way for way in ways if self._mapped(spreader.engines) and _short_of_ram_only(way)]
            best = max(mapped, key=speeds.expected, default=nearest)
            decode, curve = speeds.from_disk(best) if mapped else None, ()
        row = self._row(stored, best, spreader)
        if spreader.engines.name == OWN_ENGINE:
            row = _noted(row, "fitcheck's own packing, for measuring: no engine loads it")
        if decode is None:
            return row
        return replace(
            row,
            decode_tokens_per_s=decode.tokens_per_s,
            decode_bound=decode.bound,
            speed_basis=decode.basis,
            decode_curve=curve,
        )

    def _row(self, stored: Stored, way: Way, spreader: Spreader | None) -> FormatPlan:
        engines = spreader.engines if spreader else None
        memory = self._items(stored, way, engines)
        fits, longest = self._fits(way), self._longest(stored, spreader)
        need = footprint(self.model, stored.weights_bytes, self.request, self.context)
        place = self._placement(way, engines)
        total = sum(item.bytes for item in memory if item.resident)
        return FormatPlan(
            format=stored.format,
            engine=engines.name if engines else stored.engines[0],
            bits_per_weight=8 * stored.weights_bytes / parameters(self.model),
            weights_bytes=stored.weights_bytes,
            kv_bytes=need.kv_bytes,
            compute_bytes=sum(i.bytes for i in memory if i.what in ("compute buffer", "output buffer")),
            runtime_bytes=need.runtime_bytes,
            total_bytes=total,
            fits=fits,
            headroom_bytes=way.headroom_bytes,
            max_context=longest,
            why=why(fits, way.headroom_bytes, longest, stored.weights_bytes, place),
            needs_native_training=stored.ternary and not self.model.trained_ternary,
            quality_note=quality_note(stored.ternary, self.model),
            notes=stored.notes,
            peak_bytes=sum(item.bytes for item in memory),
            memory=memory,
            placement=place if engines else None,
            conversions=conversions(self.model, stored.format, stored.weights_bytes, engines.any.memory)
            if engines and not stored.file
            else (),
        )

    def _items(self, stored: Stored, way: Way, engines: Engines | None) -> tuple[MemoryItem, ...]:
        mapped = engines is not None and self._mapped(engines)
        if way.home and way.spread:
            names = tuple(card.name for card in self.budget.cards)
            return way.home.items(way.spread, names, mapped=mapped)
        need = footprint(self.model, stored.weights_bytes, self.request, self.context)
        repacked = self._repacked(stored, way, engines)
        return items_in_one(self.model, need, self.request.slots, mapped=mapped, repacked=repacked)

    def _mapped(self, engines: Engines) -> bool:
        return engines.any.memory.mapped and self.request.mmap and self.budget.maps_files

    def _repacked(self, stored: Stored, way: Way, engines: Engines | None) -> int:
        """Weights that a CPU rearranges; beside a card llama.cpp's buffers for that come too late."""
        if engines is None or way.gpu or not (engines.any.memory.repacks and self.request.repack):
            return 0
        if stored.format not in FORMATS or stored.file:
            return 0
        return repacked_bytes(self.model, stored.format, self.machine.simd)

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

    def _longest(self, stored: Stored, spreader: Spreader | None) -> int:
        if spreader is None:
            spreader = self._spreader(stored, _ANY_ENGINE)
        return spreader.longest()

    def _anyhow(self, stored: Stored) -> Way:
        """All in the main memory, as if an engine did it."""
        need = footprint(self.model, stored.weights_bytes, self.request, self.context).total_bytes
        pool = self.budget.main
        return Way((DeviceUse(pool.name, pool.kind, pool.usable_bytes, need),), gpu=pool.kind != "ram")

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
        there = self.budget.ram if device == "cpu" else self.budget.cards or self.budget.unified
        if not there:
            return None
        profiles = (e for e in self.engines if (e.name, e.device) == (name, device))
        return next((engine for engine in profiles if device == "cpu" or self._made_for(engine)), None)

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


_PLAIN = Engine("", "", "cpu", "4k", 1.0, 0.0)
_ANY_ENGINE = Engines(_PLAIN, replace(_PLAIN, device="gpu"))
"""Where no engine is known, an engine that does what memory allows."""


def _noted(row: FormatPlan, note: str) -> FormatPlan:
    return replace(row, notes=(*row.notes, note))


def _short_of_ram_only(way: Way) -> bool:
    """Whether the file could be mapped and run from the disk: what cards hold must fit."""
    known = (use for use in way.devices if use.usable_bytes is not None)
    return {use.kind for use in known if use.need_bytes > (use.usable_bytes or 0)} == {"ram"}
