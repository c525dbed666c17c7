"""fitcheck machines: hardware that can be planned for without owning it."""

import sys
from dataclasses import asdict

import click

from fitcheck.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> int:
    """List the machines of the catalogue, for --machine NAME."""
    from fitcheck.render import listing  # noqa: PLC0415
    from fitcheck.sources.machines import load_machines  # noqa: PLC0415

    machines = load_machines()
    if as_json:
        click.echo(listing.as_json("machines", [asdict(machine) for machine in machines]))
    else:
        listing.print_machines(machines, sys.stdout)
    return 0
