"""A progress bar on a terminal's stderr; silence everywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Advance = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""


@contextmanager
def progress_bar(what: str, file: TextIO) -> Iterator[Advance]:
    """Draw progress while the block runs, and take the bar away afterwards."""
    if not file.isatty():
        yield lambda share: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=file), transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)
