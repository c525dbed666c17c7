"""A Ranking as a table, with a line for all that it leaves out."""

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.cells import UNKNOWN, billions, fits_text, longest, memory_line, speed_text
from fitcheck.render.plain import FITS_COLOUR, plain_table
from fitcheck.schema.ranking import RankedModel, Ranking
from fitcheck.units import GIB, rate, tokens


def print_ranking(ranking: Ranking, least_tokens_per_s: float, file: TextIO) -> None:
    """The machine and what is asked in a line each, the table, and what is not in it."""
    # A pipe has no width of its own: lines stay whole there, for grep.
    console = Console(file=file, highlight=False, width=None if file.isatty() else 160)
    for line in _heading(ranking):
        console.print(line)
    console.print()
    if ranking.models:
        console.print(_table(ranking))
    for line in _footnotes(ranking, least_tokens_per_s):
        console.print(Text(line, style="dim"))


def _heading(ranking: Ranking) -> Iterator[str]:
    machine, request = ranking.machine, ranking.request
    changed = f"with {', '.join(machine.overrides)} as given; " if machine.overrides else ""
    yield f"{machine.name}, {changed}{memory_line(machine)}"
    yield f"context {tokens(request.context or 0)}, {request.kv_type} cache"


def _table(ranking: Ranking) -> Table:
    table = plain_table()
    table.add_column("model", no_wrap=True)
    for heading in ("params", "active"):
        table.add_column(heading, justify="right")
    table.add_column("best", no_wrap=True)
    for heading in ("bits", "GiB", "fits", "longest"):
        table.add_column(heading, justify="right")
    table.add_column("tokens/s", justify="right", no_wrap=True)
    table.add_column("bound by")
    for one in ranking.models:
        table.add_row(*_cells(one), style="" if one.fits else "dim")
    return table


def _cells(one: RankedModel) -> list[str | Text]:
    model, row = one.model, one.plan
    return [
        model.name,
        billions(model.parameters),
        billions(model.active_parameters) if model.active_parameters != model.parameters else "",
        row.format,
        f"{row.bits_per_weight:.2f}",
        f"{row.total_bytes / GIB:.1f}",
        Text(fits_text(row), style=FITS_COLOUR[row.fits]),
        longest(row.max_context),
        speed_text(row.decode_tokens_per_s),
        row.decode_bound or UNKNOWN,
    ]


def _footnotes(ranking: Ranking, least_tokens_per_s: float) -> Iterator[str]:
    planned = ranking.fitting + ranking.not_fitting
    yield f"{ranking.fitting} of {planned} models fit; order: {ranking.order}"
    hidden = planned > len(ranking.models)
    if ranking.too_slow and hidden:
        wished = rate(least_tokens_per_s)
        yield f"{ranking.too_slow} that fit are slower than {wished} tokens/s, or unmeasured"
    if ranking.not_fitting and hidden:
        yield f"{ranking.not_fitting} do not fit; --all lists them with the smallest format"
    bases = sorted({one.plan.speed_basis for one in ranking.models if one.plan.speed_basis})
    if bases:
        yield f"speed: expected (low-high) at an empty context; basis: {', '.join(bases)}"
    for one in ranking.unplanned:
        yield f"{one.name} is left out: {one.why}"
