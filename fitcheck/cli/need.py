"""fitcheck need MODEL: what a machine must have."""

import sys
from typing import Any

import click

from fitcheck.cli.numbers import rate_option
from fitcheck.cli.options import (
    context_option,
    depth_option,
    format_option,
    json_option,
    kv_type_option,
    reserve_option,
)


@click.command()
@click.argument("model")
@rate_option("--speed", "TOKENS/S", default=5.0, help="Tokens/s wished for [5].")
@context_option
@depth_option
@kv_type_option
@format_option
@reserve_option
@json_option
def command(model: str, as_json: bool, **options: Any) -> int:
    """Say the least RAM and bandwidth for MODEL at a speed, and machines that do it."""
    from fitcheck.requirements import needs  # noqa: PLC0415
    from fitcheck.schema.request import Request  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415
    from fitcheck.sources.machines import load_machines  # noqa: PLC0415
    from fitcheck.sources.resolve import resolve  # noqa: PLC0415

    found = resolve(model).in_formats(options["formats"])
    request = Request(
        context=options["context"],
        kv_type=options["kv_type"],
        depth=options["depth"],
        formats=options["formats"] or found.formats,
        reserve_bytes=options["reserve"],
    )
    engines, machines = load_engines(), load_machines()
    answer = needs(found.model, request, options["speed"], engines, machines, file=found.file)
    if as_json:
        from fitcheck.render.json import needs_json  # noqa: PLC0415

        click.echo(needs_json(answer))
    else:
        from fitcheck.render.needs import print_needs  # noqa: PLC0415

        print_needs(answer, sys.stdout)
    return 0 if answer.candidates else 1
