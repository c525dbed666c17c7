"""What each screen looks like, at three sizes.

After a change that is meant: pytest tests/tui --snapshot-update, and look at the pictures.
"""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from fitcheck.schema.explanation import Explanation, ExplanationLine
from fitcheck.schema.request import Request
from fitcheck.tui.app import FitcheckApp
from fitcheck.tui.choices import Choices
from fitcheck.tui.config import LIGHT
from fitcheck.tui.explain_screen import ExplainScreen
from fitcheck.tui.plot import Mark
from fitcheck.tui.world import World
from fitcheck.units import GIB

SIZES = [(80, 24), (120, 40), (200, 60)]
SIZE_NAMES = [f"{width}x{height}" for width, height in SIZES]
START = Choices(model="middle-8b")

Compare = Callable[..., bool]


def keys(*pressed: str) -> Callable[[Pilot[None]], Any]:
    async def press(pilot: Pilot[None]) -> None:
        await pilot.press(*pressed)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    return press


SCREENS = {
    "main": (),
    "catalogue": ("w",),
    "compare": ("c", "s", "e", "enter"),
    "needs": ("n",),
}
# Boxes over the main screen.
DIALOGUES = {
    "search": ("slash", "7", "0"),
    "machines": ("M",),
    "cards": ("m", "down", "down", "down", "down", "down", "enter"),
    "measure": ("v", "enter"),
    "export": ("x",),
    "help": ("question_mark",),
}


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Compare, paper_world: World, size: tuple[int, int], name: str) -> None:
    app = FitcheckApp(paper_world, START)
    assert snap_compare(app, terminal_size=size, run_before=keys(*SCREENS[name]))


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
def test_a_card_beside_the_ram(snap_compare: Compare, paper_world: World, size: tuple[int, int]) -> None:
    app = FitcheckApp(paper_world, Choices(model="large-70b", ram_bytes=64 * GIB, gpus=("card-24",)))
    assert snap_compare(app, terminal_size=size, run_before=keys())


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(snap_compare: Compare, paper_world: World, size: tuple[int, int], name: str) -> None:
    app = FitcheckApp(paper_world, START)
    assert snap_compare(app, terminal_size=size, run_before=keys(*DIALOGUES[name]))


@pytest.mark.parametrize("size", SIZES, ids=SIZE_NAMES)
def test_explanation(snap_compare: Compare, paper_world: World, size: tuple[int, int]) -> None:
    lines = (
        ExplanationLine(
            "weights", "blk.*.ffn_up.weight Q6_K", "32 × [4096 × 14336] × 210 B / 256", 1 << 30, "ggml"
        ),
        ExplanationLine(
            "kv", "KV cache f16", "32 layers × 4096 cells × (1024 + 1024) × 2 B", 1 << 29, "llama.cpp"
        ),
    )
    screen = ExplainScreen(Explanation("middle-8b", "Q6_K", Request(), lines, 3 << 29))

    async def show(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(screen)
        await pilot.pause()
        await pilot.press("down")
        await pilot.pause()

    assert snap_compare(FitcheckApp(paper_world, START), terminal_size=size, run_before=show)


def test_nothing_fits(snap_compare: Compare, paper_world: World) -> None:
    app = FitcheckApp(paper_world, Choices(model="large-70b"))
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys("up"))


def test_a_changed_machine_and_a_field_being_typed(snap_compare: Compare, paper_world: World) -> None:
    app = FitcheckApp(paper_world, START)
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys("m", "right", "down", "9", "9"))


def test_a_measured_speed_on_the_plot(snap_compare: Compare, paper_world: World) -> None:
    app = FitcheckApp(paper_world, START)

    async def measure(pilot: Pilot[None]) -> None:
        app.measured("middle-8b", "Q8_0", Mark(4096, 7.5))
        await pilot.pause()

    assert snap_compare(app, terminal_size=(120, 40), run_before=measure)


def test_light(snap_compare: Compare, paper_world: World) -> None:
    app = FitcheckApp(paper_world, START)
    assert snap_compare(app, terminal_size=(120, 40), run_before=keys("t"))
    assert app.theme == LIGHT


def test_without_colours(snap_compare: Compare, paper_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = FitcheckApp(paper_world, START)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys())
