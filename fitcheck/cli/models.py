"""fitcheck models: what can be asked for by name, what can run here, and what lies on this machine."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fitcheck.cli.asked import engines_of, machine_from, typed
from fitcheck.cli.numbers import amount_option
from fitcheck.cli.options import context_option, format_option, json_option, kv_type_option, machine_options
from fitcheck.errors import BadInput, FitcheckError, UnknownName
from fitcheck.planner import find_engine
from fitcheck.ranking import SORTS, Taste
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request

# These say what to list; any other option asks what runs.
_LISTING = ("words", "local", "as_json")


@click.command()
@click.argument("words", nargs=-1)
@click.option("--here", is_flag=True, help="Rank them for this machine as it is.")
@click.option("--local", is_flag=True, help="Files of Ollama, LM Studio, Jan and others, each judged.")
@machine_options
@context_option
@kv_type_option
@format_option
@click.option("--engine", metavar="NAME", help="The engine that runs it, for example llama.cpp.")
@click.option(
    "--sort", type=click.Choice(list(SORTS)), default="best", show_default=True, help="What comes first."
)
@amount_option("--min-speed", least=0, default=0.0, help="Only from so many tokens/s.")
@click.option("--all", "everything", is_flag=True, help="Also what does not fit.")
@json_option
def command(words: Sequence[str], local: bool, as_json: bool, **options: Any) -> int:
    """List the models of the catalogue; with --here or any option of a machine, rank them for it.

    WORDS keep those whose name, architecture or kind (moe, ternary) holds them all.
    """
    if local:
        if option := typed("sort", "min_speed", "everything"):
            raise BadInput(
                f"--local lists all files by name, and {option} ranks the catalogue", "say one of them"
            )
        return _print_local(_local(words, options), as_json)
    models = _named(" ".join(words))
    if _ranks(click.get_current_context()):
        return _print_ranking(models, as_json, options)
    return _print_catalogue(models, as_json)


def _ranks(context: click.Context) -> bool:
    """Whether anything was typed that asks what runs."""
    return typed(*(name for name in context.params if name not in _LISTING)) is not None


def _named(text: str) -> list[Model]:
    """The catalogue's models that the words name. Raises UnknownName where none is."""
    from fitcheck.sources.catalog import load_models  # noqa: PLC0415
    from fitcheck.sources.matching import matches, said_of  # noqa: PLC0415

    models = {model.name: model for model in load_models()}
    said = ((model.name, said_of(model)) for model in models.values())
    found = [models[match.name] for match in matches(text, list(models), said)]
    if not found:
        raise UnknownName(f"no model of the catalogue holds {text[:40]!r}", "see: fitcheck models")
    return found


def _print_ranking(models: Sequence[Model], as_json: bool, options: dict[str, Any]) -> int:
    from fitcheck.ranking import rank  # noqa: PLC0415

    machine = machine_from(options)
    engines = engines_of(machine)
    taste = Taste(options["sort"], options["min_speed"], options["everything"])
    ranking = rank(models, machine, _request(engines, options), engines, taste)
    if as_json:
        from fitcheck.render.json import ranking_json  # noqa: PLC0415

        click.echo(ranking_json(ranking))
    else:
        from fitcheck.render.ranking import print_ranking  # noqa: PLC0415

        print_ranking(ranking, taste.least_tokens_per_s, sys.stdout)
    return 0 if any(one.fits for one in ranking.models) else 1


def _print_catalogue(models: Sequence[Model], as_json: bool) -> int:
    from fitcheck.render import listing  # noqa: PLC0415

    rows = _catalogue(models)
    if as_json:
        click.echo(listing.as_json("models", rows))
    else:
        listing.print_models(rows, sys.stdout)
    return 0


def _print_local(rows: Sequence[dict[str, Any]], as_json: bool) -> int:
    from fitcheck.render import listing  # noqa: PLC0415

    if as_json:
        click.echo(listing.as_json("models", rows))
    else:
        listing.print_local(rows, sys.stdout)
    return 0


def _catalogue(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Smallest first, with the bare sizes that stand for one."""
    from fitcheck.footprint.tensors import active_parameters, parameters  # noqa: PLC0415
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
        for model in models
    ]
    return sorted(rows, key=lambda row: (row["parameters"], row["name"]))


def _local(words: Sequence[str], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Each file whose name holds the words, with its plan on the machine or why it has none."""
    from fitcheck.sources.local_stores import local_models  # noqa: PLC0415

    machine = machine_from(options)
    engines = engines_of(machine)
    request = _request(engines, options)
    return [
        {
            "name": model.name,
            "store": model.store,
            "path": str(model.path),
            **_judged(model.path, machine, request, engines),
        }
        for model in local_models()
        if all(word.lower() in model.name.lower() for word in words)
    ]


def _judged(path: Path, machine: Machine, request: Request, engines: Sequence[Engine]) -> dict[str, Any]:
    """The plan's own row, or the error in its place."""
    from fitcheck.planner import plan  # noqa: PLC0415
    from fitcheck.sources.weight_files import load_gguf  # noqa: PLC0415

    try:
        file = load_gguf(str(path))
        answer = plan(file.model, machine, request, engines, file=file.weights)
    except FitcheckError as error:
        return {"plan": None, "error": error.message}
    return {"plan": asdict(answer.plans[0]), "error": None}


def _request(engines: Sequence[Engine], options: dict[str, Any]) -> Request:
    return Request(
        context=options["context"],
        kv_type=options["kv_type"],
        engine=find_engine(engines, options["engine"]) if options["engine"] else None,
        formats=options["formats"],
        threads=options["threads"],
        reserve_bytes=options["reserve"],
    )
