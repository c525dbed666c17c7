"""Choices: all a person set by hand. Plan, command line and the memory of a session follow from them."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from fitcheck.schema.request import Request
from fitcheck.sources.overrides import Bus, Overrides

DEFAULT_MODEL = "8b"

# Two ways to say the same thing: the later one wins.
_RIVALS = {"bandwidth_bytes_per_s": "bus", "bus": "bandwidth_bytes_per_s"}

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
    context: int | None = None
    kv_type: str = "f16"
    engine: str | None = None
    slots: int = 1
    reserve_bytes: int | None = None

    @property
    def overrides(self) -> Overrides:
        return self._told(Overrides)

    @property
    def request(self) -> Request:
        return self._told(Request)

    def _told(self, what: type[Told]) -> Told:
        """All that these choices say of it, by name."""
        return what(**{name: getattr(self, name) for name in _names(what) if name in _names(Choices)})

    def put(self, key: str, value: Any) -> "Choices":
        """With one thing set, and with what it stands against forgotten."""
        changes = {key: value}
        if key in _RIVALS and value is not None:
            changes[_RIVALS[key]] = None
        return replace(self, **changes)

    def without(self, *keys: str) -> "Choices":
        """With the keys as they were before anybody touched them."""
        untouched = Choices()
        return replace(self, **{key: getattr(untouched, key) for key in keys})

    def changed(self, key: str) -> bool:
        return bool(getattr(self, key) != getattr(Choices(), key))

    def on_machine(self, name: str | None) -> "Choices":
        """On another machine as it is sold: what was changed on the last one is dropped."""
        return replace(self.without(*MACHINE_KEYS), machine=name)


def _names(what: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(what))


MACHINE_KEYS = tuple(name for name in _names(Overrides) if name in _names(Choices))
"""What belongs to the machine: another machine starts without it."""
