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
    if format_name is not None or found.file is None:
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
    from fitcheck.footprint.explain import buffers_of, explain, explain_file  # noqa: PLC0415
    from fitcheck.footprint.mixes import find_format  # noqa: PLC0415
    from fitcheck.footprint.stored import stored_in  # noqa: PLC0415
    from fitcheck.planner import context_for  # noqa: PLC0415

    model, file, context = found.model, found.file, context_for(found.model, request)
    if file is not None:
        answer = explain_file(model, file, request, context, buffers_of(engines, stored_in(file).engines[0]))
    else:
        form = find_format(found.format or _DEFAULT)
        answer = explain(model, form.name, request, context, buffers_of(engines, form.engines[0]))
    return _on_devices(answer, found, request, machine, engines)


def _on_devices(
    answer: Explanation, found: Resolution, request: Request, machine: Machine, engines: Sequence[Engine]
) -> Explanation:
    """With what lies on which device, by the plan for the machine."""
    from fitcheck.planner import plan  # noqa: PLC0415

    if machine.ram_bytes is None and not machine.gpus:
        return answer
    asked = replace(request, formats=(answer.format,))
    (row,) = plan(found.model, machine, asked, engines, file=found.file).plans
    return replace(
        answer,
        memory=row.memory,
        peak_bytes=row.peak_bytes,
        placement=row.placement,
        conversions=row.conversions,
    )
