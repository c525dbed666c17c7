"""fitcheck tui: the terminal interface, also what ``fitcheck`` alone opens."""

import os
import sys

import click

from fitcheck.errors import BadInput


@click.command()
@click.argument("model", required=False)
def command(model: str | None) -> int:
    """Explore: turn the machine, the context and the cache, and watch the plan change.

    Opens where the last session ended, or on MODEL.
    """
    # Textual reads stdin and draws on stderr, whatever stdout is.
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if not terminal or os.environ.get("TERM") == "dumb":  # dumb: one that can't place its cursor
        raise BadInput("the TUI needs a terminal", "name a model to get a table instead: fitcheck 70b")
    from fitcheck.tui.app import FitcheckApp  # noqa: PLC0415 (Textual takes 150 ms to import)
    from fitcheck.tui.config import load_settings  # noqa: PLC0415
    from fitcheck.tui.world import real_world  # noqa: PLC0415

    world = real_world()
    choices = None
    if model is not None:
        world.resolve(model)  # a name that leads nowhere is told before the screen opens
        choices = load_settings(world.config_directory)[0].choices.put("model", model).without("context")
    app = FitcheckApp(world, choices)
    app.run()
    return app.return_code or 0
