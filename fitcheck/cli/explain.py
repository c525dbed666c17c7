"""fitcheck explain MODEL --format F: where the bytes come from."""

import sys
from typing import Any

import click

from fitcheck.cli.options import context_option, json_option, kv_type_option, slots_option, ubatch_option


@click.command()
@click.argument("model")
@click.option(
    "--format", "format_name", default="Q4_K_M", metavar="FORMAT", help="The weight format [Q4_K_M]."
)
@context_option
@kv_type_option
@ubatch_option
@slots_option
@json_option
def command(model: str, format_name: str, as_json: bool, **options: Any) -> int:
    """Derive MODEL's memory line by line, each with its rule and source.

    The lines add up to the total that a plan shows.
    """
    from fitcheck.footprint.explain import explain  # noqa: PLC0415
    from fitcheck.planner import context_for  # noqa: PLC0415
    from fitcheck.schema.request import Request  # noqa: PLC0415
    from fitcheck.sources.resolve import resolve  # noqa: PLC0415

    found = resolve(model).model
    request = Request(**options)
    answer = explain(found, format_name, request, context_for(found, request))
    if as_json:
        from fitcheck.render.json import explanation_json  # noqa: PLC0415

        click.echo(explanation_json(answer))
    else:
        from fitcheck.render.explanation import print_explanation  # noqa: PLC0415

        print_explanation(answer, sys.stdout)
    return 0
