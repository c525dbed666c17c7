"""Choices -> the command line that gives the same plan."""

import shlex
from collections.abc import Callable, Iterator
from typing import TypeVar

from fitcheck.sources.overrides import Bus
from fitcheck.tui.choices import Choices
from fitcheck.units import GB, GIB, KIB, MIB, parse_capacity

Value = TypeVar("Value")

_UNITS = ((GIB, "G"), (MIB, "M"), (KIB, "K"))


def command_line(choices: Choices) -> str:
    """What to type in a shell to get this plan."""
    return shlex.join(("fitcheck", *arguments(choices)))


def arguments(choices: Choices) -> tuple[str, ...]:
    """The same, word by word, without the program's name."""
    return (choices.model, *_machine(choices), *_request(choices))


def _machine(choices: Choices) -> Iterator[str]:
    yield from _option("--machine", choices.machine)
    yield from _option("--ram", choices.ram_bytes, _capacity)
    yield from _option("--memory", choices.bus, _bus)
    yield from _option("--bandwidth", choices.bandwidth_bytes_per_s, _bandwidth)
    yield from _option("--threads", choices.threads)
    yield from _option("--simd", choices.simd, ",".join)
    yield from _option("--reserve", choices.reserve_bytes, _capacity)


def _request(choices: Choices) -> Iterator[str]:
    yield from _option("--context", choices.context)
    yield from _option("--kv-type", choices.kv_type if choices.changed("kv_type") else None)
    yield from _option("--engine", choices.engine)
    yield from _option("--slots", choices.slots if choices.changed("slots") else None)


def _option(name: str, value: Value | None, write: Callable[[Value], str] = str) -> Iterator[str]:
    if value is not None:
        yield from (name, write(value))


def _capacity(size: int) -> str:
    """The shortest text that parses back to just these bytes, never in powers of ten."""
    if not size:
        return "0"
    texts = [f"{size / unit:.6f}".rstrip("0").rstrip(".") + letter for unit, letter in _UNITS]
    return next((text for text in texts if float(text[:-1]) and parse_capacity(text) == size), texts[-1])


def _bandwidth(bytes_per_s: float) -> str:
    return f"{bytes_per_s / GB:.10g}"


def _bus(bus: Bus) -> str:
    return f"{bus.channels}x{bus.transfers_per_s / 1e6:.0f}"
