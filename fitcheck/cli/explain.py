"""fitcheck explain MODEL --format F: where the bytes come from."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from fitcheck.cli.options import (
    context_option,
    engines_of,
    json_option,
    kv_type_option,
    machine_from,
    machine_options,
    placement_options,
    request_from,
    slots_option,
    ubatch_option,
)
from fitcheck.schema.engine import Engine
from fitcheck.schema.explanation import Explanation
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request


@click.command()
@click.argument("model")
@click.option(
    "--format", "format_name", default="Q4_K_M", metavar="FORMAT", help="The weight format [Q4_K_M]."
)
@context_option
@kv_type_option
@ubatch_option
@slots_option
@machine_options
@placement_options
@json_option
def command(model: str, format_name: str, as_json: bool, **options: Any) -> int:
    """Derive MODEL's memory line by line, each with its rule and source.

    The lines add up to the total that a plan shows. Below them the same by
    device, on this machine or another, and what comes before the first token.
    """
    from fitcheck.footprint.explain import buffers_of, explain  # noqa: PLC0415
    from fitcheck.planner import context_for  # noqa: PLC0415
    from fitcheck.sources.resolve import resolve  # noqa: PLC0415

    found = resolve(model).model
    request, machine = request_from(options), machine_from(options)
    engines = engines_of(machine)
    buffers = buffers_of(engines, format_name)
    answer = explain(found, format_name, request, context_for(found, request), buffers)
    answer = _on_devices(answer, found, request, machine, engines)
    if as_json:
        from fitcheck.render.json import explanation_json  # noqa: PLC0415

        click.echo(explanation_json(answer))
    else:
        from fitcheck.render.explanation import print_explanation  # noqa: PLC0415

        print_explanation(answer, sys.stdout)
    return 0


def _on_devices(
    answer: Explanation, model: Model, request: Request, machine: Machine, engines: Sequence[Engine]
) -> Explanation:
    """With what lies on which device, by the plan for the machine."""
    from fitcheck.planner import plan  # noqa: PLC0415

    asked = replace(request, formats=(answer.format,))
    if machine.ram_bytes is None and not machine.gpus:
        return answer
    (row,) = plan(model, machine, asked, engines).plans
    return replace(
        answer,
        memory=row.memory,
        peak_bytes=row.peak_bytes,
        placement=row.placement,
        conversions=row.conversions,
    )
