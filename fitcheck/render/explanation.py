"""A footprint taken apart, for people."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.explanation import Explanation


def print_explanation(explanation: Explanation, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(Text(f"{explanation.model} in {explanation.format}", style="bold"))
    table = plain_table()
    table.add_column("part")
    table.add_column("rule")
    table.add_column("bytes", justify="right", no_wrap=True)
    for line in explanation.lines:
        table.add_row(line.name, line.rule, f"{line.bytes:,}".replace(",", " "))
    table.add_row(Text("total", style="bold"), "", f"{explanation.total_bytes:,}".replace(",", " "))
    console.print(table)
    for source in dict.fromkeys(line.source for line in explanation.lines):
        console.print(Text(f"source: {source}", style="dim"))
