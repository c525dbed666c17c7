"""What is asked: each field reaches the plan, and the command line that is copied gives the same one."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from textual.command import CommandInput
from textual.pilot import Pilot
from textual.widgets import Input
from typist import answered, row, run, screen_text, until

from fitcheck.cli import plan as plan_command
from fitcheck.errors import FitcheckError
from fitcheck.sources.overrides import Bus
from fitcheck.tui.app import FitcheckApp
from fitcheck.tui.catalogue_screen import CatalogueScreen
from fitcheck.tui.choices import Choices
from fitcheck.tui.command_line import arguments
from fitcheck.tui.compare_screen import CompareScreen
from fitcheck.tui.plot import Mark
from fitcheck.tui.row_table import RowTable
from fitcheck.tui.speed_plot import SpeedPlot
from fitcheck.tui.world import Finder, World
from fitcheck.units import GIB

SMALL = Choices(model="qwen3-4b")
SPARSE = Choices(model="qwen3-30b-a3b", gpus=("rtx-3060-12gb",))


@pytest.mark.parametrize(
    "choices",
    [
        SMALL,
        replace(SMALL, batch=4, context=16384, prompt=100, kv_type="q8_0"),
        replace(SMALL, slots=4, ubatch=64, mmap=False, reserve_bytes=0),
        Choices("70b", ram_bytes=48 * GIB + GIB // 2, bus=Bus(4, 4.8e9), threads=6, simd=("avx2",)),
        Choices("70b", "epyc-9654", disk_bytes_per_s=3.5e9, engine="llama.cpp"),
        Choices("70b", bandwidth_bytes_per_s=61.25e9, gpus=("rtx-3090", "rtx-3090"), gpu_layers=40),
        replace(SPARSE, vram_bytes=10 * GIB, cpu_moe_layers=30),
        Choices("qwen3:32b-q4_K_M"),
        Choices("{file}"),
    ],
    ids=lambda choices: " ".join(arguments(choices)),
)
def test_the_command_line_gives_the_same_plan(
    world: World, choices: Choices, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = replace(choices, model=choices.model.format(file=tiny_gguf))
    monkeypatch.setattr("fitcheck.probe.probe_machine", world.probe)
    shown = Finder(world).question(choices).plan()
    with plan_command.command.make_context("plan", list(arguments(choices))) as context:
        options = {name: value for name, value in context.params.items() if name != "as_json"}
        assert plan_command.answer_for(**options) == shown


def test_sequences_together_are_faster_in_all_and_the_plot_is_of_each(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        one = row(app, "Q4_K_M").decode_tokens_per_s
        app.screen.query_one("#field-batch").focus()
        await pilot.press("right", "right")
        await pilot.pause()
        assert app.choices.batch == 4
        four = row(app, "Q4_K_M").decode_tokens_per_s
        assert one is not None
        assert four is not None
        assert one.expected < four.expected < 4 * one.expected
        assert "tokens/s of 4 sequences together" in screen_text(app)
        plot = app.screen.query_one(SpeedPlot)
        assert "4 sequences" in str(plot.border_title)
        assert plot._plot is not None
        assert plot._plot.last == 40960 // 4
        assert app.command == "fitcheck qwen3-4b --batch 4"

    run(app, person, (120, 40))


def test_experts_are_a_field_where_there_are_some_and_a_card(world: World) -> None:
    app = FitcheckApp(world, SPARSE)

    async def person(pilot: Pilot[None]) -> None:
        await answered(pilot)
        field = app.screen.query_one("#field-cpu_moe_layers")
        assert field.display
        field.focus()
        await pilot.press(*"40", "enter")
        await answered(pilot)
        place = row(app, "Q4_K_M").placement
        assert place is not None
        assert place.cpu_moe_layers == 40
        assert "--n-cpu-moe 40" in app.command
        assert app.choose_model("qwen3-4b")
        await answered(pilot)
        assert app.choices.cpu_moe_layers is None, "counted for the other model"
        assert not field.display
        assert app.screen.query_one("#field-gpu_layers").display
        app.ask(app.choices.put("gpus", ()))
        await pilot.pause()
        assert not app.screen.query_one("#field-gpu_layers").display

    run(app, person, (120, 40))


def test_reset_puts_back_every_field_of_the_panel(world: World) -> None:
    app = FitcheckApp(world, replace(SMALL, ram_bytes=GIB * 8, ubatch=64, mmap=False, context=1024))

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("R")
        await pilot.pause()
        assert app.choices == replace(SMALL, context=1024)

    run(app, person)


def test_a_count_beyond_what_the_command_line_takes_is_refused(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        app.screen.query_one("#field-batch").focus()
        await pilot.press(*"257")
        await pilot.pause()
        assert app.choices.batch == 25
        assert app.screen.query_one("#field-batch").has_class("-wrong")

    run(app, person)


def test_the_palette_offers_the_keys_of_the_screen(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: bool(app.screen.query(CommandInput)))
        await pilot.press(*"compare")
        await pilot.pause(0.3)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: any(isinstance(screen, CompareScreen) for screen in app.screen_stack))

    run(app, person)


def test_a_name_nobody_bears_is_told_where_it_was_typed(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"zzzz")
        await pilot.pause()
        assert "none of that name" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert "no model is called 'zzzz'" in screen_text(app)
        assert app.focused is app.screen.query_one("#model", Input)
        await pilot.press("escape")
        await pilot.pause()
        assert app.problem == ""
        assert "zzzz" not in screen_text(app)

    run(app, person, (120, 40))


def test_needs_of_another_context(world: World) -> None:
    app = FitcheckApp(replace(world, machine_names=("epyc-9654",)), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("n")
        machines, needed = (
            app.screen.query_one(f"#{name}", RowTable) for name in ("candidates", "requirements")
        )
        await until(pilot, lambda: bool(machines.rows))
        before = [row.cells[1].text for row in needed.rows]
        wish = app.screen.query_one("#wished-context", Input)
        wish.value = "nonsense"
        await pilot.pause()
        assert "write it as 4096 or 8k" in screen_text(app)
        assert not needed.rows
        wish.value = "32k"
        await until(pilot, lambda: bool(machines.rows))
        after = [row.cells[1].text for row in needed.rows]
        assert [float(size) for size in after] > [float(size) for size in before]
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert (app.choices.machine, app.choices.context) == ("epyc-9654", 32768)

    run(app, person)


def test_a_broken_answer_to_the_comparison_lets_another_machine_be_picked(world: World) -> None:
    """The board's memory is unknown: nothing can be compared with it."""

    def refuse(*_args: Any, **_more: Any) -> Any:
        raise FitcheckError("the memory is unknown", "say how much it has")

    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("c", *"9654", "enter")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await answered(pilot)
        assert "9654" in screen_text(app)
        assert app.question is not None
        app.question = replace(app.question, planner=refuse)
        await pilot.press("M", *"m4 max", "enter")
        await answered(pilot)
        assert any("memory is unknown" in str(note.message) for note in app._notifications)
        assert "9654" in screen_text(app), "the last comparison stays"

    run(app, person, (120, 40))


def test_what_runs_here_is_asked_with_the_fields_as_they_stand(world: World) -> None:
    few = ("qwen3-8b", "llama-3.1-70b")
    app = FitcheckApp(replace(world, model_names=few), replace(SMALL, ram_bytes=64 * GIB, batch=4))

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("w")
        screen = app.screen
        assert isinstance(screen, CatalogueScreen)
        await until(pilot, lambda: screen._done)
        assert {one.model.name for one in screen._ranked if one.fits} == set(few)
        assert "64.0 GiB" in screen_text(app)

    run(app, person)


def test_click_takes_what_the_choices_say() -> None:
    """The comparison above would hold for nothing if unknown words were passed over."""
    with pytest.raises(click.UsageError):
        plan_command.command.make_context("plan", [*arguments(SMALL), "--no-such-option"])


def test_the_list_opens_at_the_model_and_stars_it(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("slash", "ctrl+s")
        await pilot.pause()
        assert app.settings.favourites == ("qwen3-4b",)
        assert "★ qwen3-4b" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.choices == SMALL

    run(app, person)


def test_what_was_measured_here_is_not_drawn_for_another_machine(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        def drawn() -> bool:
            plot = app.screen.query_one(SpeedPlot)._plot
            return plot is not None and bool(plot.marks)

        app.measured("qwen3-4b", "Q8_0", Mark(0, 9.0))
        await pilot.pause()
        assert drawn()
        app.ask(app.choices.put("bandwidth_bytes_per_s", 400e9))
        await pilot.pause()
        assert not drawn()
        await pilot.press("R")
        await pilot.pause()
        assert drawn()
        app.ask(app.choices.put("batch", 4))
        await pilot.pause()
        assert not drawn()

    run(app, person, (120, 40))


def test_an_answer_to_a_screen_that_is_being_left_is_dropped(world: World) -> None:
    """The worker is still at a model while the screen's widgets go, one after the other."""
    app = FitcheckApp(replace(world, model_names=("qwen3-8b",)), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        app.push_screen(CatalogueScreen())
        await until(pilot, lambda: isinstance(app.screen, CatalogueScreen) and app.screen._done)
        screen = app.screen
        assert isinstance(screen, CatalogueScreen)
        ranked = screen._ranked
        screen.dismiss(None)
        while screen.is_attached:
            screen._grow(ranked, 0, True)
            await asyncio.sleep(0)
        assert app.is_running

    run(app, person)
