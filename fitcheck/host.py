"""Where models run: what a machine, a request and the engines' profiles decide whatever the model.

Pure, like the planner. One Host serves every model that is asked of the same machine.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from fitcheck.budget import budget_of
from fitcheck.footprint.stored import Stored
from fitcheck.placement import Engines, Seating
from fitcheck.schema import engine as schema
from fitcheck.schema.engine import OWN_ENGINE, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.request import Request
from fitcheck.speed.device import Device


class Host:
    """A machine with the engines that it can use, as was asked for."""

    def __init__(self, machine: Machine, request: Request, engines: Sequence[Engine]) -> None:
        """``request`` may say a context, which nothing here asks for. Raises BadInput without memory."""
        self.machine, self.request, self.engines = machine, request, engines
        self.budget = budget_of(machine, request)
        self.card_names = tuple(card.name for card in self.budget.cards)
        self._usable = {(engine.name, engine.device): engine for engine in engines if self._can_use(engine)}
        self._bases = {engine.name: engine.base for engine in engines}
        self._gpu_only = frozenset(engine.name for engine in engines if engine.gpu_only)
        self._asked: dict[int, Request] = {}  # by context
        self._engines: dict[tuple[object, object], Engines | None] = {}  # by who and what runs a format
        self._seatings: dict[str, Seating] = {}
        self._devices: dict[tuple[str, schema.Device, int], Device] = {}

    @property
    def gpu(self) -> bool:
        """Whether it has one, with memory of its own or not."""
        return bool(self.budget.cards or self.budget.unified)

    def asked(self, context: int) -> Request:
        """The request with so long a context."""
        if context not in self._asked:
            self._asked[context] = replace(self.request, context=context)
        return self._asked[context]

    def may_hold(self, stored: Stored) -> bool:
        """False where the weights alone are more than all memories, however they are spread."""
        if self._anywhere is not None:
            return stored.weights_bytes <= self._anywhere
        return bool(self.request.gpu_layers or self.request.cpu_moe_layers) or self.gpus_may_hold(stored)

    @cached_property
    def _anywhere(self) -> int | None:
        """No more fits in all memories together; None where nothing is known of the RAM."""
        ram = self.budget.ram
        return None if ram is None else ram.usable_bytes + self._on_gpus

    def gpus_may_hold(self, stored: Stored) -> bool:
        """False where all layers together are more than the memories of all GPUs."""
        return stored.weights_bytes - stored.table_bytes <= self._on_gpus

    @cached_property
    def _on_gpus(self) -> int:
        """No more fits on them; some engines use of a card what others leave to the system."""
        unified = self.budget.unified
        alone = sum(card.memory_bytes for card in self.budget.cards)
        return alone + (unified.usable_bytes if unified else 0)

    def engines_of(self, stored: Stored) -> Engines | None:
        """The first of the format's engines that this machine can use, or the one asked for."""
        needs = stored.engines, stored.arches
        if needs not in self._engines:
            self._engines[needs] = None if self._refusal(stored) else self._first_of(stored.engines)
        return self._engines[needs]

    def _first_of(self, names: tuple[str, ...]) -> Engines | None:
        wanted = (self.request.engine,) if self.request.engine else names
        found = ((self._usable.get((name, "cpu")), self._usable.get((name, "gpu"))) for name in wanted)
        return next((Engines(cpu, gpu) for cpu, gpu in found if cpu or gpu), None)

    def may_run(self, stored: Stored) -> bool:
        """Whether people can run it if it fits. Nobody loads fitcheck's own packing: it is for measuring."""
        engines = self.engines_of(stored) if self.may_hold(stored) else None
        return engines is not None and engines.name != OWN_ENGINE

    def refuses(self, stored: Stored) -> bool:
        """Whether it is known that the format can't run here; else what isn't measured isn't known."""
        return self._refusal(stored) is not None

    def why_no_engine(self, stored: Stored) -> str:
        device = "this GPU" if self.budget.device == "gpu" else "a CPU"
        return self._refusal(stored) or f"no measured speed of {stored.engines[0]} on {device}"

    def seating(self, engines: Engines) -> Seating:
        """The memories that an engine may use."""
        if engines.name not in self._seatings:
            self._seatings[engines.name] = Seating(self.request, self.budget, engines)
        return self._seatings[engines.name]

    def device(self, engine: Engine, card: int) -> Device:
        """The CPU or the card of that number, as the engine has it."""
        which = (engine.name, engine.device, card)
        if which not in self._devices:
            gpu = self.machine.gpus[card] if self.machine.gpus else None
            self._devices[which] = Device(self.machine, engine, self.request, gpu)
        return self._devices[which]

    def _can_use(self, engine: Engine) -> bool:
        if engine.device == "cpu":
            return self.budget.ram is not None
        names = [gpu.name.lower() for gpu in self.machine.gpus]
        made_for = all(any(vendor in name for vendor in engine.vendors) for name in names)
        return self.gpu and (not engine.vendors or made_for)

    def _refusal(self, stored: Stored) -> str | None:
        """Why the format can't run here at all, whatever its size."""
        asked = self.request.engine
        if asked and asked not in stored.engines and self._bases.get(asked) not in stored.engines:
            return f"{asked} does not run {stored.format}"
        if stored.arches and self.machine.arch and self.machine.arch not in stored.arches:
            return f"{stored.format} has kernels for {' and '.join(stored.arches)} only"
        if not self.gpu and all(name in self._gpu_only for name in stored.engines):
            return f"{' and '.join(stored.engines)} needs a GPU"
        return None
