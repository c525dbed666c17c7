"""fitcheck accuracy: how far predictions are off, on runs other people published."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from fitcheck.cli.options import json_option
from fitcheck.errors import BadInput

if TYPE_CHECKING:
    from fitcheck.accuracy.case import Case
    from fitcheck.schema.accuracy import OwnRun
    from fitcheck.schema.engine import Engine


@click.command()
@click.option("--engine", metavar="NAME", help="Runs of this engine only.")
@click.option("--markdown", is_flag=True, help="Print a Markdown page, as docs/accuracy.md is.")
@click.option("--fit", "fitting", is_flag=True, help="Print what all runs give for profiles/engines instead.")
@json_option
def command(engine: str | None, markdown: bool, fitting: bool, as_json: bool) -> int:
    """Set predictions beside every usable published run, leaving its machine out of every fit.

    It fits each engine's constants once for every machine: half a minute.
    """
    from fitcheck.accuracy.report import report  # noqa: PLC0415
    from fitcheck.planner import find_engine  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415
    from fitcheck.sources.measurements import load_case, load_runs  # noqa: PLC0415
    from fitcheck.sources.own_runs import load_own_runs, own_case  # noqa: PLC0415
    from fitcheck.sources.prompts import load_prompts, prompt_case  # noqa: PLC0415

    if markdown + as_json + fitting > 1:
        raise BadInput("--markdown, --json and --fit are three outputs", "ask for one of them")
    engines = load_engines()
    if engine is not None:
        name = find_engine(engines, engine)
        engines = tuple(one for one in engines if one.name == name)
    names = {one.name for one in engines}
    runs = load_runs()
    cases = [load_case(run) for run in runs if not run.excluded and run.engine in names]
    if not cases:
        raise BadInput(f"no usable run of {engine} was published", "ask without --engine")
    own = {run: own_case(run) for run in load_own_runs() if run.run.engine in names}
    if fitting:
        return _print_fit(cases, engines, own)
    prompts = {one: None if one.excluded else prompt_case(one) for one in load_prompts()}
    answer = report(runs, cases, engines, own, prompts)
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


def _print_fit(cases: Sequence["Case"], engines: Sequence["Engine"], own: Mapping["OwnRun", "Case"]) -> int:
    from fitcheck.accuracy.case import of_engine  # noqa: PLC0415
    from fitcheck.accuracy.constants import constants, figures  # noqa: PLC0415
    from fitcheck.accuracy.fit import fit  # noqa: PLC0415
    from fitcheck.accuracy.residuals import residuals  # noqa: PLC0415
    from fitcheck.render.accuracy import print_fit  # noqa: PLC0415

    widths = residuals(cases, engines, own)
    for engine in widths:
        found = figures(fit(engine, of_engine(cases, engine)))
        fitted = {constant.name: found[constant.name] for constant in constants(engine)}
        print_fit(engine, fitted, widths[engine], sys.stdout)
    return 0
