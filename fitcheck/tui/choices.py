"""Choices: all a person set by hand. Plan, command line and the memory of a session follow from them."""

from dataclasses import dataclass, replace
from typing import Any

from fitcheck.schema.request import Request
from fitcheck.sources.overrides import Bus, Overrides

DEFAULT_MODEL = "8b"

# Two ways to say the same thing: the later one wins.
_RIVALS = {"bandwidth_bytes_per_s": "bus", "bus": "bandwidth_bytes_per_s"}

MACHINE_KEYS = ("ram_bytes", "bandwidth_bytes_per_s", "bus", "threads", "simd")


@dataclass(frozen=True, slots=True)
class Choices:
    """The question as it stands. None leaves a thing to the machine, the planner or the engine."""

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
        return Overrides(self.ram_bytes, self.bandwidth_bytes_per_s, self.bus, self.threads, self.simd)

    @property
    def request(self) -> Request:
        return Request(
            context=self.context,
            kv_type=self.kv_type,
            slots=self.slots,
            engine=self.engine,
            threads=self.threads,
            reserve_bytes=self.reserve_bytes,
        )

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
