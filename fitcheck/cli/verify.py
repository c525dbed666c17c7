"""fitcheck verify MODEL: the prediction beside a real run."""

import sys
from dataclasses import replace
from typing import Any

import click

from fitcheck.cli.options import (
    context_option,
    depth_option,
    json_option,
    ram_option,
    threads_option,
)


@click.command()
@click.argument("model")
@click.option("--format", "format_name", default="trit5", metavar="FORMAT", help="The weight format [trit5].")
@context_option
@depth_option
@threads_option
@ram_option
@json_option
def command(model: str, format_name: str, as_json: bool, **options: Any) -> int:
    """Run MODEL's real shape with packed random weights and check the prediction.

    All layers if they fit in the memory that is free (or in --ram, if that is
    less), else as many whole layers as do. Nothing is left behind, whatever
    ends it.
    """
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.render.progress import progress_bar  # noqa: PLC0415
    from fitcheck.schema.request import Request  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415
    from fitcheck.sources.resolve import resolve  # noqa: PLC0415
    from fitcheck.verify import verify  # noqa: PLC0415

    found = resolve(model)
    machine = probe_machine()
    if options["ram"]:
        machine = replace(
            machine, available_bytes=min(options["ram"], machine.available_bytes or options["ram"])
        )
    request = Request(context=options["context"], depth=options["depth"], threads=options["threads"])
    with progress_bar(f"running {found.model.name}", sys.stderr) as advance:
        result = verify(found.model, format_name, machine, load_engines(), request, progress=advance)
    if as_json:
        from fitcheck.render.json import verification_json  # noqa: PLC0415

        click.echo(verification_json(result))
    else:
        from fitcheck.render.verification import print_verification  # noqa: PLC0415

        print_verification(result, sys.stdout)
    return 0
