"""Choices: all a person set by hand. Plan, command line and the memory of a session follow from them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from fitcheck.schema.machine import Gpu
from fitcheck.schema.request import Request
from fitcheck.sources.overrides import Bus, Overrides

DEFAULT_MODEL = "8b"

_PLACED = ("gpu_layers", "cpu_moe_layers")  # layers, counted for one model on one set of cards

# What a new value makes forgotten. Of two ways to say the same thing the later one
# wins; another card brings its own memory, and layers that were counted for the last.
_FORGETS: dict[str, tuple[str, ...]] = {
    "bandwidth_bytes_per_s": ("bus",),
    "bus": ("bandwidth_bytes_per_s",),
    "gpus": ("vram_bytes", *_PLACED),
    "model": _PLACED,
}
# What means nothing without it: putting back a card that was only imagined.
_NEEDS = {"gpus": ("vram_bytes", *_PLACED), "vram_bytes": _PLACED}

Told = TypeVar("Told", Overrides, Request)


@dataclass(frozen=True, slots=True)
class Choices:
    """The question as it stands. None leaves a thing to the machine, the planner or the engine.

    A choice named as a field of Overrides or of Request is handed to it.
    """

    model: str = DEFAULT_MODEL
    machine: str | None = None  # of the catalogue; None: this one
    ram_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    bus: Bus | None = None
    threads: int | None = None
    simd: tuple[str, ...] | None = None
    gpus: tuple[str, ...] | None = None  # the catalogue's names, one a card; none at all where empty
    vram_bytes: int | None = None
    disk_bytes_per_s: float | None = None
    gpu_layers: int | None = None
    cpu_moe_layers: int | None = None
    prompt: int | None = None
    context: int | None = None
    kv_type: str = "f16"
    engine: str | None = None
    slots: int = 1
    batch: int = 1
    ubatch: int = 512
    mmap: bool = True
    reserve_bytes: int | None = None

    def overrides(self, card: Callable[[str], Gpu]) -> Overrides:
        """What to put in place of the machine's own; ``card`` looks a name up."""
        gpus = None if self.gpus is None else tuple(card(name) for name in self.gpus)
        return replace(self._told(Overrides), gpus=gpus)

    @property
    def request(self) -> Request:
        return self._told(Request)

    def _told(self, what: type[Told]) -> Told:
        """All that these choices say of it, by name."""
        return what(**{name: getattr(self, name) for name in _names(what) if name in _names(Choices)})

    def put(self, key: str, value: Any) -> "Choices":
        """With one thing set, and with what it stands against forgotten."""
        forgotten = _FORGETS.get(key, ()) if value is not None else ()
        return replace(self.without(*forgotten), **{key: value})

    def without(self, *keys: str) -> "Choices":
        """With the keys as they were before anybody touched them."""
        untouched = Choices()
        also = (other for key in keys for other in _NEEDS.get(key, ()))
        return replace(self, **{key: getattr(untouched, key) for key in (*keys, *also)})

    def changed(self, key: str) -> bool:
        return bool(getattr(self, key) != getattr(Choices(), key))

    @property
    def on_machine_as_found(self) -> bool:
        """Whether this is the machine fitcheck runs on, with nothing changed: what can be measured."""
        return not any(self.changed(key) for key in ("machine", *MACHINE_KEYS))

    def on_machine(self, name: str | None) -> "Choices":
        """On another machine as it is sold: what was changed on the last one is dropped."""
        return replace(self.without(*MACHINE_KEYS), machine=name)


def _names(what: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(what))


MACHINE_KEYS = (*(name for name in _names(Overrides) if name in _names(Choices)), *_PLACED)
"""What belongs to the machine: another machine starts without it."""
