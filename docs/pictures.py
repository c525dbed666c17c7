"""Draw the README's pictures: ``make pictures``, or ``python docs/pictures.py [DIRECTORY]``.

Drawn by the program itself on machines of the catalogue, so that anybody gets
the same ones, and an answer that changes changes its picture.
"""

import asyncio
import os
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from fitcheck.cli.main import main
from fitcheck.render.picture import self_contained
from fitcheck.sources.machines import find_machine
from fitcheck.tui.app import FitcheckApp
from fitcheck.tui.choices import Choices
from fitcheck.tui.world import real_world
from fitcheck.units import GIB

HERE = Path(__file__).parent / "pictures"
MACHINE = "ryzen-9-7950x"
FORMATS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K", "TQ2_0")
TABLE = f"70b --machine {MACHINE} --ram 64G {' '.join(f'--format {name}' for name in FORMATS)}"
TABLE_WIDTH, SCREEN = 84, (122, 40)


class Terminal(StringIO):
    """What is printed to it comes with its colours."""

    def isatty(self) -> bool:
        return True


def table() -> str:
    """``fitcheck 70b …`` as a terminal shows it."""
    os.environ.update(COLUMNS=str(TABLE_WIDTH), TERM="xterm-256color", COLORTERM="truecolor")
    os.environ.pop("NO_COLOR", None)
    seen = Terminal()
    with redirect_stdout(seen), suppress(SystemExit):
        main(TABLE.split())
    paper = Console(record=True, width=TABLE_WIDTH, file=StringIO())
    paper.print(Text(f"$ fitcheck {TABLE.split(' --format', maxsplit=1)[0]}", style="bold"))
    paper.print(Text.from_ansi(seen.getvalue()))
    return paper.export_svg(title="fitcheck", theme=MONOKAI)


async def tui() -> str:
    """The TUI with a card put into the same machine, and 64 GiB."""
    with TemporaryDirectory() as directory:
        world = replace(real_world(), probe=lambda: find_machine(MACHINE), config_directory=Path(directory))
        app = FitcheckApp(world, Choices("70b", MACHINE, ram_bytes=64 * GIB, gpus=("rtx-3090",)))
        async with app.run_test(size=SCREEN) as pilot:
            while app.picked != "Q4_K_M":
                await pilot.press("down")
            await app.workers.wait_for_complete()
            await pilot.pause()
            return app.export_screenshot()


def draw(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, svg in {"table": table(), "tui": asyncio.run(tui())}.items():
        (directory / f"{name}.svg").write_text(self_contained(svg), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
