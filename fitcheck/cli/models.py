"""fitcheck models: what can be asked for by name, and what lies on this machine."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fitcheck.cli.options import engines_of, json_option
from fitcheck.errors import FitcheckError
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine


@click.command()
@click.option(
    "--local", is_flag=True, help="Files of Ollama, LM Studio, Jan and others, judged on this machine."
)
@json_option
def command(local: bool, as_json: bool) -> int:
    """List the models of the catalogue, or with --local the files that other programs keep here."""
    from fitcheck.render import listing  # noqa: PLC0415

    rows = _local() if local else _catalogue()
    if as_json:
        click.echo(listing.as_json("models", rows))
    elif local:
        listing.print_local(rows, sys.stdout)
    else:
        listing.print_models(rows, sys.stdout)
    return 0


def _catalogue() -> list[dict[str, Any]]:
    """Smallest first, with the bare sizes that stand for one."""
    from fitcheck.footprint.tensors import active_parameters, parameters  # noqa: PLC0415
    from fitcheck.sources.catalog import load_models  # noqa: PLC0415
    from fitcheck.sources.resolve import sizes  # noqa: PLC0415

    shorthand = {entry["model"]: size for size, entry in sizes().items()}
    rows = [
        {
            "name": model.name,
            "size": shorthand.get(model.name),
            "architecture": model.architecture,
            "parameters": parameters(model),
            "active_parameters": active_parameters(model),
            "layers": len(model.layers),
            "context_max": model.context_max,
            "trained_ternary": model.trained_ternary,
            "source": model.source,
        }
        for model in load_models()
    ]
    return sorted(rows, key=lambda row: (row["parameters"], row["name"]))


def _local() -> list[dict[str, Any]]:
    """Each file's own plan on this machine; a file that can't be judged says why."""
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.sources.local_stores import local_models  # noqa: PLC0415

    machine = probe_machine()
    engines = engines_of(machine)
    return [
        {
            "name": model.name,
            "store": model.store,
            "path": str(model.path),
            **_judged(model.path, machine, engines),
        }
        for model in local_models()
    ]


def _judged(path: Path, machine: Machine, engines: Sequence[Engine]) -> dict[str, Any]:
    """The plan's own row, or the error in its place."""
    from fitcheck.planner import plan  # noqa: PLC0415
    from fitcheck.schema.request import Request  # noqa: PLC0415
    from fitcheck.sources.weight_files import load_gguf  # noqa: PLC0415

    try:
        file = load_gguf(str(path))
        answer = plan(file.model, machine, Request(), engines, file=file.weights)
    except FitcheckError as error:
        return {"plan": None, "error": error.message}
    return {"plan": asdict(answer.plans[0]), "error": None}
