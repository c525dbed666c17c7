"""fitcheck calibrate: learn from runs of one's own."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from fitcheck.cli.asked import base_machine
from fitcheck.cli.numbers import count_option, rate_option
from fitcheck.cli.options import (
    depth_option,
    flash_attention_option,
    json_option,
    kv_type_option,
    threads_option,
    ubatch_option,
)
from fitcheck.errors import BadInput
from fitcheck.schema.calibration import Run
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.request import Request
from fitcheck.sources.calibration import Kept


@click.command()
@click.argument("source", required=False)
@rate_option("--measured", "TOKENS/S", help="The decode speed that SOURCE, a model, was seen to have.")
@count_option("--prompt", least=1, most=1 << 20, help="--measured is the prefill of so many tokens.")
@click.option("--model", metavar="MODEL", help="The model that the results are of, where they don't say.")
@click.option("--format", "format_name", metavar="FORMAT", help="Its weight format.")
@click.option("--engine", metavar="NAME", default="llama.cpp", show_default=True, help="What ran it.")
@click.option("--gpu", is_flag=True, help="It ran on the machine's GPU.")
@depth_option
@threads_option
@kv_type_option
@flash_attention_option
@ubatch_option
@click.option("--machine", "machine_name", metavar="NAME", help="The machine that ran it, if not this one.")
@click.option("--list", "listing", is_flag=True, help="Show what was learned, and from which runs.")
@click.option("--undo", is_flag=True, help="Take the last calibration back.")
@click.option("--clear", is_flag=True, help="Forget all that was learned on the machine.")
@json_option
def command(source: str | None, as_json: bool, **options: Any) -> int:
    """Learn from SOURCE how fast an engine really is on this machine.

    SOURCE holds what llama-bench -o json or fitcheck verify --json printed (-
    for stdin), or is a model, with --measured and the speed it was seen to have.
    A few factors are learned, for memory, arithmetic and overhead, so that all
    other models and formats gain by it. A speed that memory can't deliver is
    questioned, not learned.
    """
    from fitcheck.calibrate import report  # noqa: PLC0415
    from fitcheck.sources.calibration import load_calibration, save_calibration  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415

    _check_asked(source, options)
    machine, engines = base_machine(options["machine_name"]), load_engines()
    before, notice = load_calibration(machine)
    if notice:
        click.echo(f"fitcheck: {notice}", err=True)
    after = _changed(before, source, options, machine, engines)
    shown = report(before, after, machine, engines)
    if after is not before:
        save_calibration(after)
    if as_json:
        from fitcheck.render.json import calibration_json  # noqa: PLC0415

        click.echo(calibration_json(shown))
    else:
        from fitcheck.render.calibration import print_calibration  # noqa: PLC0415

        print_calibration(shown, sys.stdout)
    return 0


def _check_asked(source: str | None, options: Mapping[str, Any]) -> None:
    """One thing at a time, and a speed only of a model. Raises BadInput."""
    verbs = [name for name in ("listing", "undo", "clear") if options[name]]
    choices = "give results, a model with --measured, --list, --undo or --clear"
    if len(verbs) + (source is not None) > 1:
        raise BadInput("that is more than one thing to do", choices)
    if source is None and options["measured"] is not None:
        raise BadInput(
            "--measured says how fast, but of no model", "name it: fitcheck calibrate 8b --measured 8"
        )
    if source is None and not verbs:
        raise BadInput("there is nothing to learn from", choices)


def _changed(
    before: Kept, source: str | None, options: Mapping[str, Any], machine: Machine, engines: Sequence[Engine]
) -> Kept:
    """What is to be kept from now on; the very same where only a list was asked for."""
    from fitcheck.calibrate import learned_from, undone  # noqa: PLC0415

    if options["clear"]:
        return Kept(before.machine)
    if options["undo"]:
        return undone(before, machine, engines)
    if source is None:
        return before
    return learned_from(_batch(source, options, engines), before, machine, engines)


def _batch(source: str, options: Mapping[str, Any], engines: Sequence[Engine]) -> tuple[Run, ...]:
    """The runs to learn from. Raises BadInput."""
    from fitcheck.sources.results import Named, read_results, runs_in  # noqa: PLC0415

    if options["measured"] is not None:
        return (_typed(source, options, engines),)
    return runs_in(read_results(source), Named(options["model"], options["format_name"]))


def _typed(source: str, options: Mapping[str, Any], engines: Sequence[Engine]) -> Run:
    """One number that a person read off a screen."""
    from fitcheck.planner import find_engine  # noqa: PLC0415
    from fitcheck.sources.results import shape_of  # noqa: PLC0415

    request = Request(
        depth=options["depth"],
        threads=options["threads"],
        kv_type=options["kv_type"],
        flash_attention=options["flash_attn"],
        ubatch=options["ubatch"],
    )
    return Run(
        shape=shape_of(source, options["format_name"]),
        request=request,
        engine=find_engine(engines, options["engine"]),
        device="gpu" if options["gpu"] else "cpu",
        tokens_per_s=options["measured"],
        source="typed in",
        prompt=options["prompt"] or 0,
    )
