"""What can be exported, and writing it without ever overwriting a file."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fitcheck.render.json import plan_json
from fitcheck.render.markdown import plan_markdown
from fitcheck.schema.plan import Plan


class Export(NamedTuple):
    """``make`` takes the plan and its command line; None: a picture of the screen."""

    title: str
    ending: str
    make: Callable[[Plan, str], str] | None


EXPORTS = {
    "json": Export("JSON", ".json", lambda plan, command: plan_json(plan) + "\n"),
    "markdown": Export("Markdown", ".md", plan_markdown),
    "svg": Export("picture", ".svg", None),
}


def write_new(directory: Path, stem: str, ending: str, text: str) -> Path:
    """Write a file that was not there: ``stem.json``, else ``stem-2.json`` … Raises OSError."""
    for number in count(1):
        path = directory / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() ends")
