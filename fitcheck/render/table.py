"""A Plan as a table that people understand at a glance."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.plan import Fits, FormatPlan, Plan, TokenRate
from fitcheck.units import GB, GIB, gb_per_s, gib, rate, tokens
from fitcheck.verdict import NOT_TERNARY

_COLOUR: dict[Fits, str] = {"yes": "green", "tight": "yellow", "no": "red"}
_UNKNOWN = "–"


def print_plan(plan: Plan, file: TextIO) -> None:
    """Model and machine in a line each, the table, its footnotes, the verdict."""
    console = Console(file=file, highlight=False)
    console.print(_model_line(plan))
    if plan.model.note:
        console.print(Text(plan.model.note, style="dim"))
    console.print(_machine_line(plan))
    console.print(_request_line(plan))
    console.print()
    console.print(_table(plan))
    for line in (*_footnotes(plan), *plan.machine.notes):
        console.print(Text(line, style="dim"))
    console.print()
    console.print(Text(plan.verdict, style="bold"))


def _model_line(plan: Plan) -> Text:
    model = plan.model
    size = f"{model.parameters / 1e9:.1f}B parameters"
    if model.active_parameters != model.parameters:
        size += f", {model.active_parameters / 1e9:.1f}B active"
    line = Text(model.name, style="bold")
    if model.resolved_from:
        line.append(f" (asked for as {model.resolved_from})", style="not bold")
    line.append(f": {size}, {model.layers} layers, {model.architecture}", style="not bold")
    return line


def _machine_line(plan: Plan) -> str:
    machine = plan.machine
    changed = f"with {', '.join(machine.overrides)} as given; " if machine.overrides else ""
    memory = gib(machine.usable_bytes + machine.reserve_bytes)
    reads = gb_per_s(machine.bandwidth_bytes_per_s) if machine.bandwidth_bytes_per_s else "an unknown rate"
    return (
        f"{machine.name}, {changed}{memory}, of which {gib(machine.reserve_bytes)} stay with the system; "
        f"reads {reads} ({machine.bandwidth_basis})"
    )


def _request_line(plan: Plan) -> str:
    request = plan.request
    cache = gib(max(row.kv_bytes for row in plan.plans), 2)
    return f"context {tokens(request.context or 0)}, {request.kv_type} cache of {cache}"


def _table(plan: Plan) -> Table:
    table = plain_table()
    table.add_column("format")
    for heading in ("bits", "file GB", "total GiB", "fits", "longest", "tokens/s"):
        table.add_column(heading, justify="right")
    table.add_column("bound by")
    for row in plan.plans:
        table.add_row(*_cells(row), style="bold" if row.format == plan.best else "")
    return table


def _cells(row: FormatPlan) -> list[str | Text]:
    return [
        f"{row.format}{' *' if row.needs_native_training else ''}",
        f"{row.bits_per_weight:.2f}",
        f"{row.weights_bytes / GB:.2f}",
        f"{row.total_bytes / GIB:.1f}",
        Text(row.fits, style=_COLOUR[row.fits]),
        tokens(row.max_context) if row.max_context else _UNKNOWN,
        _speed(row.decode_tokens_per_s),
        row.decode_bound or _UNKNOWN,
    ]


def _speed(speed: TokenRate | None) -> str:
    return f"{rate(speed.expected)} ({rate(speed.low)}-{rate(speed.high)})" if speed else _UNKNOWN


def _footnotes(plan: Plan) -> list[str]:
    notes = []
    if any(row.needs_native_training for row in plan.plans):
        notes.append(f"* {NOT_TERNARY}")
    bases = sorted({row.speed_basis for row in plan.plans if row.speed_basis})
    if bases:
        notes.append(f"speed: expected (low-high) at an empty context; basis: {', '.join(bases)}")
    best = next((row for row in plan.plans if row.format == plan.best), None)
    if best and best.prefill_tokens_per_s and best.ttft_s:
        prompt = tokens(plan.request.prompt or plan.request.context or 0)
        speed = rate(best.prefill_tokens_per_s)
        notes.append(
            f"prefill of {best.format}: {speed} tokens/s; a prompt of {prompt} takes {best.ttft_s:.3g} s"
        )
    return notes
