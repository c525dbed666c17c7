"""Lists of models, machines and formats, as tables or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from fitcheck.render.cells import UNKNOWN, billions, fits_word, longest
from fitcheck.render.plain import plain_table
from fitcheck.schema.machine import Machine
from fitcheck.units import gb_per_s, gib, rate, tokens

Row = Mapping[str, Any]


def as_json(kind: str, rows: Sequence[Row]) -> str:
    """One object: ``fitcheck.<kind>/1`` with the rows under the kind's name."""
    return json.dumps({"schema": f"fitcheck.{kind}/1", kind: list(rows)}, ensure_ascii=False)


def rule_as_json(rule: str, bits_per_weight: float) -> str:
    """One object: ``fitcheck.rule/1``, a block rule worked out."""
    return json.dumps({"schema": "fitcheck.rule/1", "rule": rule, "bits_per_weight": bits_per_weight})


def print_models(rows: Iterable[Row], file: TextIO) -> None:
    table = _table("name", "stands for", "parameters", "active", "layers", "context", "architecture")
    for row in rows:
        active = row["active_parameters"]
        table.add_row(
            row["name"],
            row["size"] or "",
            billions(row["parameters"]),
            billions(active) if active != row["parameters"] else "",
            str(row["layers"]),
            tokens(row["context_max"]) if row["context_max"] else UNKNOWN,
            row["architecture"] + (", ternary" if row["trained_ternary"] else ""),
        )
    _print(table, file)


def print_local(rows: Sequence[Row], file: TextIO) -> None:
    if not rows:
        file.write("no model files of Ollama, LM Studio, Jan, llama.cpp or Hugging Face were found\n")
        return
    table = _table("name", "kept by", "format", "total", "fits", "longest", "tokens/s")
    for row in rows:
        table.add_row(row["name"], row["store"], *_plan_cells(row["plan"]))
    _print(table, file)
    for row in rows:
        if row["error"]:
            file.write(f"{row['name']} ({row['store']}) can't be judged: {row['error']}\n")


def _plan_cells(plan: Row | None) -> tuple[str, ...]:
    if plan is None:
        return (UNKNOWN,) * 5
    speed = plan["decode_tokens_per_s"]
    return (
        plan["format"],
        gib(plan["total_bytes"]),
        fits_word(plan["fits"], run=plan["placement"] is not None),
        longest(plan["max_context"]),
        rate(speed["expected"]) if speed else UNKNOWN,
    )


def print_machines(machines: Iterable[Machine], file: TextIO) -> None:
    table = _table("name", "memory", "peak", "reads", "basis")
    for machine in machines:
        card = machine.gpus[0] if machine.gpus and not machine.ram_bytes else None
        memory = card.vram_bytes if card else machine.ram_bytes
        peak = card.bandwidth_bytes_per_s if card else machine.peak_bandwidth_bytes_per_s
        reads = machine.bandwidth_bytes_per_s
        table.add_row(
            machine.name,
            gib(memory, 0) if memory else UNKNOWN,
            gb_per_s(peak) if peak else UNKNOWN,
            gb_per_s(reads) if reads else UNKNOWN,
            machine.bandwidth_basis if reads else "",
        )
    _print(table, file)


def print_formats(rows: Iterable[Row], file: TextIO) -> None:
    table = _table("name", "family", "runs on", "about")
    for row in rows:
        table.add_row(row["name"], row["family"], ", ".join(row["engines"]), row["description"])
    _print(table, file)


def _table(*headings: str) -> Table:
    table = plain_table()
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0)
    return table


def _print(table: Table, file: TextIO) -> None:
    # A pipe has no width of its own: lines stay whole there, for grep.
    Console(file=file, highlight=False, width=None if file.isatty() else 160).print(table)
