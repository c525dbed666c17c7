"""A Plan as Markdown, to paste into an issue or a message."""

from collections.abc import Sequence

from fitcheck.render.cells import UNKNOWN, fits_text, longest
from fitcheck.schema.plan import FormatPlan, Plan, TokenRate
from fitcheck.units import GIB, gb_per_s, gib, rate, tokens

_HEADINGS = ("format", "fits", "GiB", "bits", "longest context", "tokens/s", "bound by", "note")


def plan_markdown(plan: Plan, command: str) -> str:
    """The verdict, what it was asked of, the table, and the command line that gives it again."""
    return "\n".join(
        (
            f"# {plan.model.name} on {plan.machine.name}",
            "",
            f"**{plan.verdict}**",
            "",
            _machine(plan),
            "",
            *table_lines(_HEADINGS, [_cells(row, row.format == plan.best) for row in plan.plans]),
            "",
            "```",
            command,
            "```",
            "",
        )
    )


def _machine(plan: Plan) -> str:
    machine, request = plan.machine, plan.request
    reads = gb_per_s(machine.bandwidth_bytes_per_s) if machine.bandwidth_bytes_per_s else "at an unknown rate"
    changed = f" (changed: {', '.join(machine.overrides)})" if machine.overrides else ""
    return (
        f"{gib(machine.usable_bytes + machine.reserve_bytes)} of memory, {gib(machine.reserve_bytes)} of it "
        f"for the system; reads {reads}, {machine.bandwidth_basis}{changed}. "
        f"Context {tokens(request.context or 0)}, {request.kv_type} cache."
    )


def table_lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(headings), _line(["---"] * len(headings)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"


def _cells(row: FormatPlan, best: bool) -> list[str]:
    return [
        f"**{row.format}**" if best else row.format,
        fits_text(row),
        f"{row.total_bytes / GIB:.1f}",
        f"{row.bits_per_weight:.2f}",
        longest(row.max_context),
        _speed(row.decode_tokens_per_s),
        row.decode_bound or UNKNOWN,
        "; ".join(filter(None, (row.quality_note, *row.notes))),
    ]


def _speed(speed: TokenRate | None) -> str:
    return f"{rate(speed.expected)} ({rate(speed.low)} to {rate(speed.high)})" if speed else UNKNOWN
