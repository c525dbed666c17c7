"""A Plan as a table that people understand at a glance."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.cells import UNKNOWN, fits_text, longest, memory_line, only_bytes_fit, speed_text
from fitcheck.render.plain import FITS_COLOUR, plain_table
from fitcheck.schema.plan import FormatPlan, Placement, Plan
from fitcheck.units import GB, GIB, duration, gb_per_s, gib, rate, tokens
from fitcheck.verdict import NOT_TERNARY

_WIDEST = 1000  # characters; no table of ours comes near


def print_plan(plan: Plan, file: TextIO) -> None:
    """Model and machine in a line each, the table, its footnotes, the verdict."""
    console = Console(file=file, highlight=False)
    console.print(_model_line(plan))
    if plan.model.note:
        console.print(Text(plan.model.note, style="dim"))
    console.print(_machine_line(plan))
    console.print(_request_line(plan))
    console.print()
    console.print(_fitted(_table(plan), console))
    for line in (*_footnotes(plan), *plan.machine.notes):
        console.print(Text(line, style="dim"))
    console.print()
    console.print(Text(plan.verdict, style="bold"))
    if (best := _best(plan)) and _asks_for_flags(plan):
        console.print(_flags_line(best), soft_wrap=True)


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
    cards = "".join(f"; {card.name} with {gib(card.memory_bytes)}" for card in machine.cards)
    return f"{machine.name}, {changed}{memory_line(machine)}{cards if machine.ram_bytes else ''}"


def _request_line(plan: Plan) -> str:
    request = plan.request
    cache = gib(max(row.kv_bytes for row in plan.plans), 2)
    each = tokens((request.context or 0) // request.slots)
    slots = f" in {request.slots} slots of {each}" if request.slots > 1 else ""
    return f"context {tokens(request.context or 0)}{slots}, {request.kv_type} cache of {cache}"


def _fitted(table: Table, console: Console) -> Table:
    """With its columns closer together where the screen is narrow, before any cell is folded."""
    without_end = console.options.update(max_width=_WIDEST)
    if console.measure(table, options=without_end).maximum > console.width:
        table.padding = (0, 1, 0, 0)
    return table


def _table(plan: Plan) -> Table:
    placed = _placed(plan)
    # Beside a GPU the layers on it take the room of the file's figures: eighty columns hold no more.
    first = ("gpu layers",) if placed else ("bits", "file GB")
    table = plain_table()
    table.add_column("format")
    for heading in (*first, "total GiB", "fits", "longest", "tokens/s"):
        table.add_column(heading, justify="right")
    table.add_column("bound by")
    for row in plan.plans:
        table.add_row(*_cells(row, placed), style="bold" if row.format == plan.best else "")
    return table


def _placed(plan: Plan) -> bool:
    """Whether cards and RAM share the work in any row, so that where layers lie is a question."""
    return bool(plan.machine.cards) and plan.machine.ram_bytes is not None


def _layers(place: Placement | None) -> str:
    """``37/49``, and with how many layers' experts in RAM: ``49/49 e12``."""
    if place is None:
        return UNKNOWN
    experts = f" e{place.cpu_moe_layers}" if place.cpu_moe_layers else ""
    return f"{place.gpu_layers}/{place.layers_total}{experts}"


def _cells(row: FormatPlan, placed: bool) -> list[str | Text]:
    return [
        f"{row.format}{' *' if row.needs_native_training else ''}",
        *([_layers(row.placement)] if placed else _file(row)),
        f"{row.total_bytes / GIB:.1f}",
        Text(fits_text(row), style="dim" if only_bytes_fit(row) else FITS_COLOUR[row.fits]),
        longest(row.max_context),
        speed_text(row.decode_tokens_per_s),
        row.decode_bound or UNKNOWN,
    ]


def _unrun(plan: Plan) -> list[str]:
    """Rows that nobody is known to run here, and those that can't though there is room, by reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in plan.plans:
        if row.placement is None and row.headroom_bytes >= 0:
            sign = "no" if row.fits == "no" else "yes?"
            reasons.setdefault((sign, "; ".join(row.notes)), []).append(row.format)
    return [f"{sign}: {_range(names)}: {why}" for (sign, why), names in sorted(reasons.items())]


def _range(names: list[str]) -> str:
    """``EXL2-2.0bpw to EXL2-8.0bpw``: rows of one reason stand together."""
    return ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}"


def _file(row: FormatPlan) -> list[str]:
    return [f"{row.bits_per_weight:.2f}", f"{row.weights_bytes / GB:.2f}"]


def _footnotes(plan: Plan) -> list[str]:
    notes = []
    if any(row.needs_native_training for row in plan.plans):
        notes.append(f"* {NOT_TERNARY}")
    bases = sorted({row.speed_basis for row in plan.plans if row.speed_basis})
    if bases:
        notes.append(f"speed: expected (low-high) at an empty context; basis: {', '.join(bases)}")
    if any(row.decode_bound == "disk" for row in plan.plans):
        notes.append(f"bound by disk: weights that don't fit are read again for each token{_disk(plan)}")
    notes += _unrun(plan)
    if any(row.placement and row.placement.cpu_moe_layers for row in plan.plans):
        notes.append("e12: the experts of 12 layers stay in RAM")
    if (best := _best(plan)) is not None:
        notes += [*_uses(plan, best), *_prefill(plan, best), *best.notes]
    return notes


def _disk(plan: Plan) -> str:
    disk = plan.machine.disk_bytes_per_s
    given = "as given" if "disk" in plan.machine.overrides else plan.machine.disk_basis
    return f", at {gb_per_s(disk)} ({given})" if disk else ""


def _best(plan: Plan) -> FormatPlan | None:
    return next((row for row in plan.plans if row.format == plan.best), None)


def _uses(plan: Plan, best: FormatPlan) -> list[str]:
    """What the best row takes of each device, where there are several."""
    if not _placed(plan) or best.placement is None:
        return []
    told = (
        f"{use.name} {gib(use.need_bytes)}" + (f" of {gib(use.usable_bytes)}" if use.usable_bytes else "")
        for use in best.placement.devices
    )
    return [f"{best.format} takes: {', '.join(told)}"]


def _prefill(plan: Plan, best: FormatPlan) -> list[str]:
    if best.prefill_tokens_per_s is None or best.ttft_s is None:
        return []
    prompt = tokens(plan.request.prompt or plan.request.context or 0)
    speed = rate(best.prefill_tokens_per_s)
    return [f"prefill of {best.format}: {speed} tokens/s; a prompt of {prompt} takes {duration(best.ttft_s)}"]


def _asks_for_flags(plan: Plan) -> bool:
    """Whether what is planned for needs saying to the engine."""
    asked = plan.request
    return bool(plan.machine.gpus) or not asked.mmap or not asked.repack


def _flags_line(row: FormatPlan) -> str:
    flags = " ".join(row.placement.flags) if row.placement else ""
    return f"{row.engine}: {flags}" if flags else ""
