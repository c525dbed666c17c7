"""fitcheck accuracy: how far predictions are off, on runs other people published."""

import sys

import click

from fitcheck.cli.options import json_option
from fitcheck.errors import BadInput


@click.command()
@click.option("--engine", metavar="NAME", help="Runs of this engine only.")
@click.option("--markdown", is_flag=True, help="Print a Markdown page, as docs/accuracy.md is.")
@json_option
def command(engine: str | None, markdown: bool, as_json: bool) -> int:
    """Set predictions beside every usable published run, leaving its machine out of every fit.

    It fits each engine's constants once for every machine: half a minute.
    """
    from fitcheck.accuracy.report import report  # noqa: PLC0415
    from fitcheck.planner import find_engine  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415
    from fitcheck.sources.measurements import load_case, load_runs  # noqa: PLC0415

    if markdown and as_json:
        raise BadInput("--markdown and --json are two outputs", "ask for one of them")
    engines = load_engines()
    if engine is not None:
        name = find_engine(engines, engine)
        engines = tuple(one for one in engines if one.name == name)
    names = {one.name for one in engines}
    runs = load_runs()
    cases = [load_case(run) for run in runs if not run.excluded and run.engine in names]
    if not cases:
        raise BadInput(f"no usable run of {engine} was published", "ask without --engine")
    answer = report(runs, cases, engines)
    if as_json:
        from fitcheck.render.json import accuracy_json  # noqa: PLC0415

        click.echo(accuracy_json(answer))
    elif markdown:
        from fitcheck.render.accuracy import accuracy_markdown  # noqa: PLC0415

        click.echo(accuracy_markdown(answer), nl=False)
    else:
        from fitcheck.render.accuracy import print_accuracy  # noqa: PLC0415

        print_accuracy(answer, sys.stdout)
    return 0
