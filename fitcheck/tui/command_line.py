"""Choices -> the command line that gives the same plan."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
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
    said = (say(getattr(choices, key)) for key, say in OPTIONS.items() if choices.changed(key))
    return (choices.model, *(word for words in said for word in words))


def _option(name: str, write: Callable[[Any], str] = str) -> Callable[[Any], tuple[str, ...]]:
    """An option with one value after it."""
    return lambda value: (name, write(value))


def _cards(names: Sequence[str]) -> tuple[str, ...]:
    """Equal cards are counted: ``--gpu 2xrtx-3090``."""
    if not names:
        return ("--no-gpu",)
    counted = Counter(names).items()
    return tuple(word for name, n in counted for word in ("--gpu", f"{n}x{name}" if n > 1 else name))


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


OPTIONS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "machine": _option("--machine"),
    "ram_bytes": _option("--ram", _capacity),
    "bus": _option("--memory", _bus),
    "bandwidth_bytes_per_s": _option("--bandwidth", _bandwidth),
    "threads": _option("--threads"),
    "simd": _option("--simd", ",".join),
    "gpus": _cards,
    "vram_bytes": _option("--vram", _capacity),
    "gpu_layers": _option("--gpu-layers"),
    "cpu_moe_layers": _option("--n-cpu-moe"),
    "disk_bytes_per_s": _option("--disk", _bandwidth),
    "reserve_bytes": _option("--reserve", _capacity),
    "context": _option("--context"),
    "prompt": _option("--prompt"),
    "kv_type": _option("--kv-type"),
    "engine": _option("--engine"),
    "slots": _option("--slots"),
    "batch": _option("--batch"),
    "ubatch": _option("--ubatch"),
    "mmap": lambda _off: ("--no-mmap",),
}
"""The words that say each choice."""
