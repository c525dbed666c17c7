"""Choices -> the command line that gives the same plan."""

import shlex
from collections.abc import Callable
from typing import Any

from fitcheck.sources.overrides import Bus
from fitcheck.tui.choices import Choices
from fitcheck.units import GB, GIB, KIB, MIB, parse_capacity

_UNITS = ((GIB, "G"), (MIB, "M"), (KIB, "K"))


def command_line(choices: Choices) -> str:
    """What to type in a shell to get this plan."""
    return shlex.join(("fitcheck", *arguments(choices)))


def arguments(choices: Choices) -> tuple[str, ...]:
    """The same, word by word, without the program's name."""
    said = [
        (option, write(getattr(choices, key)))
        for key, (option, write) in OPTIONS.items()
        if choices.changed(key)
    ]
    return (choices.model, *(word for pair in said for word in pair))


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


OPTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "machine": ("--machine", str),
    "ram_bytes": ("--ram", _capacity),
    "bus": ("--memory", _bus),
    "bandwidth_bytes_per_s": ("--bandwidth", _bandwidth),
    "threads": ("--threads", str),
    "simd": ("--simd", ",".join),
    "reserve_bytes": ("--reserve", _capacity),
    "context": ("--context", str),
    "kv_type": ("--kv-type", str),
    "engine": ("--engine", str),
    "slots": ("--slots", str),
}
"""The option that says each choice, and how its value is written."""
