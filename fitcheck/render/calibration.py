"""What calibration learned, for people: each run before and after, and what follows for others."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.calibration import CalibrationReport, Compared, Learned
from fitcheck.units import counted, rate, tokens

_UNKNOWN = "–"


def print_calibration(report: CalibrationReport, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(Text(report.machine, style="bold"))
    if not report.learned:
        console.print("nothing is learned on this machine")
    for learned in report.learned:
        console.print(_factors(learned))
    _print(console, "your runs, tokens/s", report.runs)
    _print(console, "other models, tokens/s", report.others)


def _factors(learned: Learned) -> str:
    """The factors as people read them: how far from the profile."""
    found = learned.factors
    parts = {
        "share of the bandwidth": found.bandwidth,
        "arithmetic": found.arithmetic,
        "overhead": found.overhead,
        "prefill": found.prefill,
    }
    moved = [f"{name} × {factor:.2f}" for name, factor in parts.items() if f"{factor:.2f}" != "1.00"]
    runs = counted(learned.runs, "run")
    return (
        f"{learned.engine} on the {learned.device.upper()}, {runs}: {', '.join(moved) or 'as profiled'}; "
        f"8 of 10 runs within {learned.low:.2f} to {learned.high:.2f} of the expected speed"
    )


def _print(console: Console, title: str, rows: Sequence[Compared]) -> None:
    if not rows:
        return
    console.print()
    console.print(Text(title, style="bold"))
    console.print(_table(rows))


def _table(rows: Sequence[Compared]) -> Table:
    table = plain_table()
    table.add_column("model")
    table.add_column("format")
    table.add_column("of")
    for heading in ("measured", "before", "after"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.model, row.format, _kind(row), *_speeds(row))
    return table


def _kind(row: Compared) -> str:
    depth = f" at {tokens(row.depth)}" if row.depth else ""
    threads = f", {counted(row.threads, 'thread')}" if row.threads else ""
    return f"{row.kind}{depth}{threads}"


def _speeds(row: Compared) -> tuple[str, str, str]:
    return (
        rate(row.measured) if row.measured else _UNKNOWN,
        f"{rate(row.before)}{_error(row.before, row.measured)}",
        f"{rate(row.after)}{_error(row.after, row.measured)}",
    )


def _error(guess: float, measured: float | None) -> str:
    return f" ({guess / measured - 1:+.0%})" if measured else ""
