"""Profile TOML -> Machine: ``profiles/machines``, and the names people type.

A profile gives either the peak bandwidth of the data sheet, or the bus width
with the memory types it takes (``DDR5-5600``), from which the peak follows:
bits / 8 x million transfers a second. The first memory type and the ``ram`` of
the file are defaults; a name may end in another: ``ryzen-9-7950x-ddr5-6000-64gb``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fitcheck.errors import BadInput
from fitcheck.schema.machine import Gpu, Machine, System
from fitcheck.sources import names
from fitcheck.sources.profiles import Table, profile_path, read_toml, source_of, stems
from fitcheck.units import parse_bandwidth, parse_capacity

_MEMORY = re.compile(r"[-_: ,]*\b((?:lp)?ddr\d[a-z]*-\d{4,5})$", re.IGNORECASE)
# The cores that engines' rates come from, in bits multiplied a second: a Zen 4
# one at 3.68 GHz with two pipes of 256 bits, an Apple M2 one at 3.5 GHz with four of 128.
_REFERENCE_CORE = {"x86_64": 512 * 3.68, "aarch64": 512 * 3.5}

_VRAM = re.compile(rb'^vram = "(.*)"', re.MULTILINE)
_RAM = re.compile(r"[-_: ,]+(\d+)\s?(?:gb?|gib)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a name said beyond the machine: a memory type, a size of RAM."""

    memory: str | None = None
    ram: str | None = None


def find_machine(text: str) -> Machine:
    """The machine that the text names, with the memory it names.

    Raises UnknownName, with the three nearest names, where there is none, and
    BadInput where that machine was never made with such memory.
    """
    name = names.checked(text, "machines")
    spellings = _spellings(name)
    found = names.find("machines", spellings)
    if found is None:
        raise names.unknown("machines", name)
    stem, spelling = found
    return load_machine(stem, spellings[spelling])


def load_machine(stem: str, choice: Choice | None = None) -> Machine:
    """The profile's machine. Raises BadInput, naming the file, where it is faulty."""
    table = read_toml(profile_path("machines", stem))
    try:
        return machine_from_table(stem, table, choice or Choice())
    except (LookupError, TypeError, ValueError) as error:
        raise BadInput(f"profiles/machines/{stem}.toml is faulty: {error}", "mend the file") from error


def load_machines() -> tuple[Machine, ...]:
    """Every machine of the catalogue, by name, each with its default memory."""
    return tuple(load_machine(stem) for stem in stems("machines"))


def card_sizes() -> dict[str, int]:
    """Each graphics card of the catalogue with the bytes of its memory; only that line is looked at."""
    found = {stem: _VRAM.search(profile_path("machines", stem).read_bytes()) for stem in stems("machines")}
    return {stem: parse_capacity(line[1].decode()) for stem, line in found.items() if line}


def machine_from_table(name: str, table: Table, choice: Choice) -> Machine:
    """A profile's table as a Machine. Raises LookupError, TypeError or ValueError where it is faulty."""
    memory = _chosen(name, "memory", choice.memory, table.get("memory", []))
    ram = _chosen(name, "ram", choice.ram, _sizes(table))
    ram_bytes = parse_capacity(ram) if ram and "ram" in table else None
    achieved = table.get("achieved", {}).get(memory or "all")
    peak = _peak(table, memory)
    return Machine(
        name=name,
        source=source_of(table),
        ram_bytes=ram_bytes,
        arch=table.get("arch"),
        cpu=table.get("cpu"),
        cores=table.get("cores"),
        threads=table.get("threads"),
        simd=tuple(table.get("simd", ())),
        core_speed=_core_speed(table),
        peak_bandwidth_bytes_per_s=peak,
        bandwidth_bytes_per_s=parse_bandwidth(achieved) if achieved else None,
        bandwidth_basis="profile" if achieved else "spec" if peak else "assumed",
        gpus=(_gpu(table["gpu"], ram_bytes, source_of(table)),) if "gpu" in table else (),
        unified_memory=table.get("unified_memory", False),
        system=System(sockets=table["sockets"]) if "sockets" in table else None,
        assumed=tuple(_assumed(table, ram, memory, choice)),
        notes=tuple(table.get("notes", ())),
    )


def _spellings(name: str) -> dict[str, Choice]:
    """The name as typed, then without the RAM size, then without the memory type."""
    found, choice = {name: Choice()}, Choice()
    if size := _RAM.search(name):
        name, choice = name[: size.start()], Choice(ram=f"{size[1]}G")
        found[name] = choice
    if memory := _MEMORY.search(name):
        name, choice = name[: memory.start()], Choice(memory[1].upper(), choice.ram)
        found[name] = choice
    return found


def _sizes(table: Table) -> list[str]:
    """The memory sizes it comes with, the default first; of a graphics card, its own."""
    default = table["ram"] if "ram" in table else table["gpu"]["vram"]
    return [default, *table.get("ram_sizes", ())]


def _chosen(name: str, what: str, wanted: str | None, offered: list[str]) -> str | None:
    if wanted is None:
        return offered[0] if offered else None
    if wanted not in offered:
        sold = ", ".join(dict.fromkeys(offered)) or "none to choose"
        raise BadInput(f"{name} has no {what} {wanted}", f"it comes with: {sold}")
    return wanted


def _peak(table: Table, memory: str | None) -> float | None:
    """Bytes per second the bus could carry."""
    if "peak_bandwidth" in table:
        return parse_bandwidth(table["peak_bandwidth"])
    if memory is None:
        return None
    transfers = int(memory.rsplit("-", 1)[1]) * 1e6
    return float(table["bus_bits"] / 8 * transfers)


def _core_speed(table: Table) -> float | None:
    """A core beside the reference of its kind: width of its multiply pipes x clock with all cores at work."""
    if "vector_bits" not in table:
        return None
    return float(table["vector_bits"] * table["clock_ghz"] / _REFERENCE_CORE[table["arch"]])


def _gpu(table: Table, ram_bytes: int | None, source: str) -> Gpu:
    """The card, or the GPU within; without memory of its own it shares all of the RAM."""
    vram = parse_capacity(table["vram"]) if "vram" in table else ram_bytes
    if vram is None:
        raise ValueError("a card needs vram")
    achieved = table.get("achieved")
    return Gpu(
        name=table["name"],
        vram_bytes=vram,
        bandwidth_bytes_per_s=parse_bandwidth(table["peak_bandwidth"]),
        source=source,
        achieved_bytes_per_s=parse_bandwidth(achieved) if achieved else None,
        lane_ops_per_s=table["lanes"] * table["clock_ghz"] * 1e9 if "lanes" in table else None,
    )


def _assumed(table: Table, ram: str | None, memory: str | None, choice: Choice) -> Iterator[tuple[str, str]]:
    """What was chosen because nobody said it, by the option that says it."""
    if "ram_sizes" in table and choice.ram is None:
        sold = ", ".join(table["ram_sizes"])
        yield "ram", f"{ram} of memory assumed; it comes with {sold}: say which with --ram"
    if len(table.get("memory", ())) > 1 and choice.memory is None:
        yield "memory", f"{memory} assumed; it also takes {', '.join(table['memory'][1:])}"
