"""fitcheck explain MODEL --format F: where the bytes come from."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from fitcheck.cli.asked import engines_of, machine_from, request_from
from fitcheck.cli.options import (
    context_option,
    json_option,
    kv_type_option,
    machine_options,
    placement_options,
    slots_option,
    ubatch_option,
)
from fitcheck.schema.engine import Engine
from fitcheck.schema.explanation import Explanation
from fitcheck.schema.machine import Machine
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.sources.resolve import Resolution, resolve

_DEFAULT = "Q4_K_M"


@click.command()
@click.argument("model")
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    help=f"The weight format [a file's own; else the one in a tag, or {_DEFAULT}].",
)
@context_option
@kv_type_option
@ubatch_option
@slots_option
@machine_options
@placement_options
@json_option
def command(model: str, format_name: str | None, as_json: bool, **options: Any) -> int:
    """Derive MODEL's memory line by line, each with its rule and source.

    The lines add up to the total that a plan shows. Below them the same by
    device, on this machine or another, and what comes before the first token.
    A file's lines are its own tensors; with --format, its shape in that format.
    """
    found = resolve(model)
    if format_name is not None:
        found = replace(found, file=None, format=format_name or found.format)
    request, machine = request_from(options), machine_from(options)
    answer = _explained(found, request, machine, engines_of(machine))
    if as_json:
        from fitcheck.render.json import explanation_json  # noqa: PLC0415

        click.echo(explanation_json(answer))
    else:
        from fitcheck.render.explanation import print_explanation  # noqa: PLC0415

        print_explanation(answer, sys.stdout)
    return 0


def _explained(
    found: Resolution, request: Request, machine: Machine, engines: Sequence[Engine]
) -> Explanation:
    """The derivation, with the buffers of the engine that the plan takes and what lies on which device."""
    from fitcheck.footprint.explain import buffers_of, explain, explain_file  # noqa: PLC0415
    from fitcheck.planner import context_for  # noqa: PLC0415

    name = found.format or _DEFAULT
    row = _planned(found, name, machine, request, engines)
    model, context = found.model, context_for(found.model, request.context)
    buffers = buffers_of(engines, row.engine) if row and row.placement else ()
    if found.file is not None:
        answer = explain_file(model, found.file, request, context, buffers)
    else:
        answer = explain(model, name, request, context, buffers)
    return _on_devices(answer, row) if row else answer


def _planned(
    found: Resolution, name: str, machine: Machine, request: Request, engines: Sequence[Engine]
) -> FormatPlan | None:
    """The plan's row; None where nothing is known of the machine's memory."""
    from fitcheck.planner import plan  # noqa: PLC0415

    if machine.ram_bytes is None and not machine.gpus:
        return None
    asked = replace(request, formats=(name,))
    return plan(found.model, machine, asked, engines, file=found.file).plans[0]


def _on_devices(answer: Explanation, row: FormatPlan) -> Explanation:
    return replace(
        answer,
        memory=row.memory,
        peak_bytes=row.peak_bytes,
        placement=row.placement,
        conversions=row.conversions,
    )
