"""What can be exported, and writing it without ever overwriting a file."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fitcheck.render.json import plan_json
from fitcheck.render.markdown import plan_markdown
from fitcheck.render.picture import png, self_contained
from fitcheck.schema.plan import Plan


class Screen(NamedTuple):
    """What is on the screen: the plan, its command line, and the picture of it, drawn when asked for."""

    plan: Plan
    command: str
    svg: Callable[[], str]


class Export(NamedTuple):
    """``make`` raises FitcheckError where something it needs is missing."""

    title: str
    ending: str
    make: Callable[[Screen], bytes]


EXPORTS = {
    "json": Export("JSON", ".json", lambda screen: f"{plan_json(screen.plan)}\n".encode()),
    "markdown": Export("Markdown", ".md", lambda screen: plan_markdown(screen.plan, screen.command).encode()),
    "svg": Export("picture", ".svg", lambda screen: self_contained(screen.svg()).encode()),
    "png": Export("picture", ".png", lambda screen: png(screen.svg())),
}


def write_new(directory: Path, stem: str, ending: str, content: bytes) -> Path:
    """Write a file that was not there: ``stem.json``, else ``stem-2.json`` … Raises OSError."""
    for number in count(1):
        path = directory / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() ends")
