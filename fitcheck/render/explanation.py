"""A footprint taken apart, for people."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.explanation import Explanation
from fitcheck.schema.plan import Conversion
from fitcheck.units import gb, gib, spaced


def print_explanation(explanation: Explanation, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(Text(f"{explanation.model} in {explanation.format}", style="bold"))
    table = plain_table()
    table.add_column("part")
    table.add_column("rule")
    table.add_column("bytes", justify="right", no_wrap=True)
    for line in explanation.lines:
        table.add_row(line.name, line.rule, spaced(line.bytes))
    table.add_row(Text("total", style="bold"), "", spaced(explanation.total_bytes))
    console.print(table)
    for note in explanation.notes:
        console.print(Text(note))
    if explanation.memory:
        console.print()
        console.print(_devices(explanation))
        console.print(Text(_TOUCHED, style="dim"))
    for step in explanation.conversions:
        console.print(_conversion(step))
    for source in dict.fromkeys(line.source for line in explanation.lines):
        console.print(Text(f"source: {source}", style="dim"))


_TOUCHED = "mapped pages are the file's: they can be evicted, and those once touched aren't needed again"


def _devices(explanation: Explanation) -> Table:
    """Items device by device, what stays and what is touched once; each adds up."""
    table = plain_table()
    for heading in ("device", "what", "kind"):
        table.add_column(heading)
    table.add_column("stays", justify="right", no_wrap=True)
    table.add_column("touched once", justify="right", no_wrap=True)
    for item in explanation.memory:
        sizes = (spaced(item.bytes), "") if item.resident else ("", spaced(item.bytes))
        table.add_row(item.device, item.what, item.kind, *sizes)
    stays = sum(item.bytes for item in explanation.memory if item.resident)
    once = explanation.peak_bytes - stays
    table.add_row(Text("total", style="bold"), "", "", spaced(stays), spaced(once) if once else "")
    return table


def _conversion(step: Conversion) -> Text:
    ram = gib(step.ram_bytes) if step.ram_bytes is not None else "an unmeasured amount"
    disk = f" and {gb(step.disk_bytes)} of disk" if step.disk_bytes else ""
    return Text(f"before: {step.step}: {ram} of RAM{disk} ({step.source})")
