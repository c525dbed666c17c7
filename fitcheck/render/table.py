"""A Plan as a table that people understand at a glance."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from fitcheck.render.cells import memory_line
from fitcheck.render.plan_table import plan_table, shares_layers
from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.units import counted, duration, gb_per_s, gib, rate, tokens
from fitcheck.verdict import NOT_TERNARY


def print_plan(plan: Plan, file: TextIO) -> None:
    """Model and machine in a line each, the table, its footnotes, the verdict."""
    console = Console(file=file, highlight=False)
    console.print(_model_line(plan))
    if plan.model.note:
        console.print(Text(plan.model.note, style="dim"))
    console.print(_machine_line(plan))
    console.print(_request_line(plan))
    console.print()
    console.print(plan_table(plan, console))
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


def _footnotes(plan: Plan) -> list[str]:
    notes = []
    if any(row.needs_native_training for row in plan.plans):
        notes.append(f"* {NOT_TERNARY}")
    bases = sorted({row.speed_basis for row in plan.plans if row.speed_basis})
    if bases:
        depth = plan.request.depth
        filled = f"with {tokens(depth)} tokens in the cache" if depth else "at an empty context"
        notes.append(f"speed: expected (low-high) {filled}; basis: {', '.join(bases)}")
    if any(row.decode_bound == "disk" for row in plan.plans):
        notes.append(f"bound by disk: weights that don't fit are read again for each token{_disk(plan)}")
    notes += _unrun(plan)
    counts = (row.placement.cpu_moe_layers for row in plan.plans if row.placement)
    if layers := next(filter(None, counts), 0):
        notes.append(f"e{layers}: the experts of {counted(layers, 'layer')} stay in RAM")
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
    if not shares_layers(plan) or best.placement is None:
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
