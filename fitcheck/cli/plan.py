"""fitcheck MODEL: every weight format of a model on a machine."""

import sys
from dataclasses import replace
from typing import Any

import click

from fitcheck.cli.asked import engines_of, machine_from, pass_from, request_from
from fitcheck.cli.options import (
    context_option,
    depth_option,
    flash_attention_option,
    format_option,
    json_option,
    kv_type_option,
    machine_options,
    pass_options,
    placement_options,
    prompt_option,
    slots_option,
    ubatch_option,
)
from fitcheck.planner import find_engine, plan
from fitcheck.schema.plan import Plan
from fitcheck.sources.resolve import resolve


@click.command()
@click.argument("model")
@machine_options
@context_option
@kv_type_option
@format_option
@click.option("--engine", metavar="NAME", help="The engine that runs it, for example llama.cpp.")
@depth_option
@prompt_option
@flash_attention_option
@ubatch_option
@slots_option
@pass_options
@placement_options
@json_option
def command(model: str, as_json: bool, **options: Any) -> int:
    """Judge every weight format of MODEL on this machine or another.

    MODEL is a size (70b), a name (qwen3-32b), a tag (llama3.1:70b), a GGUF
    file, a config.json or a directory with one, or - for a config on stdin.
    A file is judged by its own tensors; with --format, its shape in that format.
    """
    answer = answer_for(model, **options)
    if as_json:
        from fitcheck.render.json import plan_json  # noqa: PLC0415

        click.echo(plan_json(answer))
    else:
        from fitcheck.render.table import print_plan  # noqa: PLC0415

        print_plan(answer, sys.stdout)
    return 0 if any(row.fits != "no" and row.placement for row in answer.plans) else 1


def answer_for(model: str, **options: Any) -> Plan:
    """The Plan for what was typed: find the model and the machine, and judge."""
    found = resolve(model).in_formats(options["formats"])
    machine = machine_from(options)
    engines = engines_of(machine)
    request = replace(
        request_from(options),
        **pass_from(options),
        depth=options["depth"],
        prompt=options["prompt"],
        flash_attention=options["flash_attn"],
        engine=find_engine(engines, options["engine"]) if options["engine"] else None,
        formats=options["formats"] or found.formats,
    )
    return plan(found.model, machine, request, engines, asked=found.resolved_from, file=found.file)
