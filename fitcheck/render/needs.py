"""What a machine must have, for people."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.requirement import Candidate, Needs, Requirement
from fitcheck.units import GB, gb_per_s, gib, rate, tokens
from fitcheck.verdict import NOT_TERNARY


def print_needs(needs: Needs, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(
        f"{needs.model} at {rate(needs.wished_tokens_per_s)} tokens/s, context {tokens(needs.context)}, "
        f"{tokens(needs.depth)} of it filled"
    )
    console.print()
    console.print(_requirements(needs))
    if any(row.needs_native_training for row in needs.requirements):
        console.print(Text(f"* {NOT_TERNARY}", style="dim"))
    console.print()
    if needs.candidates:
        console.print(_candidates(needs.candidates))
    else:
        console.print(Text("No machine of the catalogue does it.", style="bold"))


def _requirements(needs: Needs) -> Table:
    table = plain_table()
    table.add_column("format")
    for heading in ("least RAM", "least read bandwidth", "10⁹ weights/s"):
        table.add_column(heading, justify="right")
    for row in needs.requirements:
        table.add_row(*_cells(row))
    return table


def _cells(row: Requirement) -> tuple[str, ...]:
    bandwidth = gb_per_s(row.bandwidth_bytes_per_s) if row.bandwidth_bytes_per_s else "none is enough"
    name = f"{row.format}{' *' if row.needs_native_training else ''}"
    return (name, gib(row.ram_bytes), bandwidth, f"{row.weights_per_s / GB:.0f}")


def _candidates(candidates: tuple[Candidate, ...]) -> Table:
    table = plain_table()
    table.add_column("machines that do it")
    table.add_column("best format")
    table.add_column("tokens/s", justify="right")
    for candidate in candidates:
        speed = candidate.plan.decode_tokens_per_s
        table.add_row(candidate.machine, candidate.plan.format, rate(speed.expected) if speed else "")
    return table
