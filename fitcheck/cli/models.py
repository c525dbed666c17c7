"""fitcheck models: what can be asked for by name."""

import sys

import click

from fitcheck.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> int:
    """List the models of the catalogue and the sizes that stand for one."""
    from fitcheck.footprint.tensors import active_parameters, parameters  # noqa: PLC0415
    from fitcheck.render import listing  # noqa: PLC0415
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
    rows.sort(key=lambda row: (row["parameters"], row["name"]))
    if as_json:
        click.echo(listing.as_json("models", rows))
    else:
        listing.print_models(rows, sys.stdout)
    return 0
