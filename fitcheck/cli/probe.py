"""fitcheck probe: this machine, and what its memory delivers."""

import sys

import click

from fitcheck.cli.options import json_option


@click.command()
@click.option("--fresh", is_flag=True, help="Measure again, even if an earlier measurement is kept.")
@json_option
def command(fresh: bool, as_json: bool) -> int:
    """Show this machine; measure its read bandwidth and its disk (once; they are kept).

    Memory takes under 3 seconds, with 1 to n threads, on huge pages and on
    4 KiB pages; the disk under 2, with a file in the cache directory that has
    no name and is gone at once.
    """
    from fitcheck.bench.native import missing  # noqa: PLC0415
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.render.progress import progress_bar  # noqa: PLC0415

    with progress_bar("reading memory", sys.stderr) as advance:
        machine = probe_machine(measure=True, fresh=fresh, progress=advance)
    if as_json:
        from fitcheck.render.json import probe_json  # noqa: PLC0415

        click.echo(probe_json(machine))
    else:
        from fitcheck.render.machine import print_machine  # noqa: PLC0415

        print_machine(machine, sys.stdout)
    if error := missing():
        # An earlier measurement may stand in the table; this install can't repeat it.
        click.echo(f"fitcheck: {error.message}; {error.remedy}", err=True)
    return 0
