"""fitcheck verify MODEL: the prediction beside a real run."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fitcheck.cli.asked import engines_of, typed
from fitcheck.cli.numbers import count_option
from fitcheck.cli.options import (
    context_option,
    depth_option,
    flash_attention_option,
    json_option,
    kv_type_option,
    ram_option,
    threads_option,
    ubatch_option,
)
from fitcheck.errors import BadInput
from fitcheck.schema.measurement import Verification

# What only one of the two ways of running takes.
_OF_ENGINES = ("llama_bench", "llama_server", "kv_type", "flash_attn", "ubatch", "prompt", "time_limit")
_OF_KERNELS = ("format_name", "context", "ram")


@click.command()
@click.argument("model")
@click.option("--format", "format_name", default="trit5", metavar="FORMAT", help="The weight format [trit5].")
@context_option
@depth_option
@threads_option
@ram_option
@kv_type_option
@click.option("--engine", metavar="NAME", help="Run this engine, installed here, on a GGUF file: llama.cpp.")
@click.option(
    "--llama-bench", metavar="PATH", envvar="FITCHECK_LLAMA_BENCH", help="The program to run [PATH]."
)
@click.option(
    "--llama-server", metavar="PATH", envvar="FITCHECK_LLAMA_SERVER", help="Or this one, over HTTP [PATH]."
)
@flash_attention_option
@ubatch_option
@count_option("--prompt", least=0, most=1 << 20, default=512, help="Tokens of prefill, 0: none [512].")
@count_option("--time-limit", least=1, most=86400, default=300, help="Seconds an engine may take [300].")
@json_option
def command(model: str, format_name: str, as_json: bool, **options: Any) -> int:
    """Run MODEL's real shape with packed random weights and check the prediction.

    With --engine llama.cpp, MODEL is a GGUF file that an installed llama-bench runs, else llama-server, else
    the Python library xllamacpp.

    All layers if they fit in the memory that is free (or in --ram, if that is
    less), else as many whole layers as do. Nothing is left behind, whatever
    ends it.
    """
    _check_asked(options["engine"])
    if options["engine"]:
        return _show(_of_engine(model, options), as_json)
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
    return _show(result, as_json)


def _check_asked(engine: str | None) -> None:
    """Refuse what the other way of running takes. Raises BadInput."""
    if engine is None and (option := typed(*_OF_ENGINES)):
        raise BadInput(f"{option} is for engines, and fitcheck's own kernels run", "add --engine llama.cpp")
    if engine is not None and (option := typed(*_OF_KERNELS)):
        raise BadInput(f"{option} is for fitcheck's own kernels, and {engine} runs the file", "leave it out")


def _of_engine(model: str, options: Mapping[str, Any]) -> Verification:
    """Run an installed engine on the file. Raises BadInput for what is no file, or no engine to run."""
    from fitcheck.planner import find_engine  # noqa: PLC0415
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.probe.machine import buffer_bytes  # noqa: PLC0415
    from fitcheck.render.progress import progress_bar  # noqa: PLC0415
    from fitcheck.runners import find_runner  # noqa: PLC0415
    from fitcheck.schema.calibration import Shape  # noqa: PLC0415
    from fitcheck.schema.request import Request  # noqa: PLC0415
    from fitcheck.sources.weight_files import is_gguf, load_gguf  # noqa: PLC0415
    from fitcheck.verify_engine import EngineCheck, EngineRun  # noqa: PLC0415

    machine = probe_machine()
    engines = engines_of(machine)
    engine = find_engine(engines, options["engine"])
    if engine != "llama.cpp":
        raise BadInput(f"fitcheck can't run {engine}", "verify --engine llama.cpp, or leave --engine out")
    if not is_gguf(model):
        raise BadInput(f"{model} is no GGUF file, and an engine runs nothing else", "name a .gguf file")
    file = load_gguf(model)
    request = Request(
        engine=engine,
        depth=options["depth"],
        threads=options["threads"],
        kv_type=options["kv_type"],
        flash_attention=options["flash_attn"],
        ubatch=options["ubatch"],
    )
    run = EngineRun(
        runner=find_runner({name.replace("_", "-"): path for name, path in options.items()}),
        file=Path(model).expanduser().resolve(),
        prompt=options["prompt"],
        limit_s=options["time_limit"],
        buffer_bytes=buffer_bytes(machine),
    )
    shape = Shape(file.model, file.weights.name, file.weights)
    with progress_bar(f"running {engine}", sys.stderr) as advance:
        return EngineCheck(shape, run, machine, engines, request).verify(advance)


def _show(result: Verification, as_json: bool) -> int:
    if as_json:
        from fitcheck.render.json import verification_json  # noqa: PLC0415

        click.echo(verification_json(result))
    else:
        from fitcheck.render.verification import print_verification  # noqa: PLC0415

        print_verification(result, sys.stdout)
    return 0
