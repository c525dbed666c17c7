"""A person at the keyboard: the catalogue and the planner as they are, on a machine that stays the same."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input
from typist import answered, burst, row, run, screen_text, until

from fitcheck.ranking import speed
from fitcheck.tui import needs_screen
from fitcheck.tui.app import FitcheckApp
from fitcheck.tui.catalogue_screen import CatalogueScreen
from fitcheck.tui.choices import Choices
from fitcheck.tui.compare_screen import CompareScreen
from fitcheck.tui.config import FILE
from fitcheck.tui.explain_screen import ExplainScreen
from fitcheck.tui.jobs import Job, Measured, Outcome
from fitcheck.tui.plot import Mark
from fitcheck.tui.row_table import RowTable
from fitcheck.tui.world import World
from fitcheck.units import GIB

LARGE, SMALL = Choices(model="70b"), Choices(model="qwen3-4b")


def test_search_a_model_by_its_size(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"70b")
        assert "llama-3.1-70b" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.plan is not None
        assert app.plan.model.name == "llama-3.1-70b"
        assert "does not fit" in screen_text(app)
        assert app.focused is app.screen.query_one("#formats")

    run(app, person)


def test_raise_the_ram_until_it_fits(world: World) -> None:
    app = FitcheckApp(world, LARGE)

    async def person(pilot: Pilot[None]) -> None:
        assert app.plan is not None
        assert app.plan.best is None
        await pilot.press("m")
        steps = 0
        while app.plan.best is None:
            await pilot.press("right")
            await pilot.pause()
            steps += 1
            assert steps < 12
        assert app.choices.ram_bytes is not None
        assert app.choices.ram_bytes > 16 * GIB
        assert "fits in" in screen_text(app)
        assert "●" in screen_text(app)

    run(app, person)


def test_another_bandwidth_is_another_speed_and_r_puts_it_back(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        before = row(app, "Q8_0").decode_tokens_per_s
        await pilot.press("m", "down", *"32", "enter")
        await pilot.pause()
        slower = row(app, "Q8_0").decode_tokens_per_s
        assert before is not None
        assert slower is not None
        assert slower.expected < 0.7 * before.expected
        assert app.choices.bandwidth_bytes_per_s == 32e9
        await pilot.press("r")
        await pilot.pause()
        assert row(app, "Q8_0").decode_tokens_per_s == before

    run(app, person)


def test_every_key_of_a_number_plans_again_and_escape_restores(world: World) -> None:
    app = FitcheckApp(world, SMALL)
    seen = []

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m")
        for key in "128":
            await pilot.press(key)
            await pilot.pause()
            seen.append(app.choices.ram_bytes)
        await pilot.press("x")
        await pilot.pause()
        assert app.choices.ram_bytes == 128 * GIB, "what is no size changes nothing"
        await pilot.press("escape")
        await pilot.pause()
        assert app.choices.ram_bytes is None

    run(app, person)
    assert seen == [1 * GIB, 12 * GIB, 128 * GIB]


def test_keys_that_come_in_a_burst_all_count(world: World) -> None:
    """A terminal hands over what was typed ahead in one read, before anything is painted."""
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m")
        for key in "lll":
            app.post_message(events.Key(key, key))
        await until(pilot, lambda: app.choices.ram_bytes == 32 * GIB)
        for key in "48.5":
            app.post_message(events.Key(key, key))
        await until(pilot, lambda: app.choices.ram_bytes == 48.5 * GIB)

    run(app, person)


def test_other_modules_give_another_peak(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m", "down", "down", "enter", *"4x6000", "enter")
        await pilot.pause()
        assert app.question is not None
        assert app.question.machine.peak_bandwidth_bytes_per_s == 4 * 8 * 6e9
        assert app.plan is not None
        assert app.plan.machine.bandwidth_basis == "spec"
        assert "4 × 6000 MT/s" in screen_text(app)

    run(app, person)


def test_a_question_without_an_answer_says_why_and_keeps_the_last_plan(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        before = app.plan
        app.ask(app.choices.put("context", 1 << 30))
        await pilot.pause()
        assert app.plan is before
        assert "! qwen3-4b has a context of at most" in screen_text(app)
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert app.problem == ""
        assert app.choices.context == 8192

    run(app, person)


def test_a_larger_model_with_a_smaller_context_drops_the_context(world: World) -> None:
    app = FitcheckApp(world, Choices(model="qwen3-4b", context=32768))

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"mini 4k", "enter")
        await pilot.pause()
        assert app.choices.model == "phi-3-mini-4k"
        assert app.choices.context is None

    run(app, person)


def test_export_writes_and_never_overwrites(world: World, tmp_path: Path) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        for down in (0, 0, 1, 2):
            await pilot.press("x", *["j"] * down, "enter")
            await pilot.pause(0.1)

    run(app, person)
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {
        "fitcheck-qwen3-4b.json",
        "fitcheck-qwen3-4b-2.json",
        "fitcheck-qwen3-4b.md",
        "fitcheck-qwen3-4b.svg",
    }
    printed = json.loads((tmp_path / "fitcheck-qwen3-4b.json").read_text())
    assert printed["schema"] == "fitcheck.plan/1"
    assert printed["model"]["name"] == "qwen3-4b"
    assert "| format | fits |" in (tmp_path / "fitcheck-qwen3-4b.md").read_text()
    drawn = (tmp_path / "fitcheck-qwen3-4b.svg").read_text()
    assert drawn.startswith("<svg")
    assert "url(" not in drawn.replace("url(#", ""), "a picture that asks the net for its letters"


def test_a_png_is_drawn_or_politely_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "resvg_py", None)
            app._write("png")
        await pilot.pause()
        assert any('"fitcheck-planner[png]"' in str(note.message) for note in app._notifications)
        assert not any(note.markup for note in app._notifications), "[png] would be swallowed"
        assert not list(tmp_path.glob("*.png"))
        pytest.importorskip("resvg_py", reason="PNG needs the extra [png]")
        app._write("png")

    run(app, person)
    assert (tmp_path / "fitcheck-qwen3-4b.png").read_bytes().startswith(b"\x89PNG")


def test_y_copies_the_command_line(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m", *"48", "enter", "y")
        await pilot.pause()
        assert app.clipboard == "fitcheck qwen3-4b --ram 48G"

    run(app, person)


def test_quit_and_reopen_goes_on_where_it_was(world: World) -> None:
    first = FitcheckApp(world, SMALL)

    async def leave(pilot: Pilot[None]) -> None:
        await pilot.press("m", *"96", "enter", "escape", "s", "t", "q")

    run(first, leave)
    again = FitcheckApp(world)
    assert again.choices == first.choices
    assert again.choices.ram_bytes == 96 * GIB
    assert again.settings.sort == "speed"
    assert again.theme == first.theme == "textual-light"


def test_a_broken_session_is_moved_aside_with_a_notice(world: World) -> None:
    world.config_directory.mkdir(parents=True)
    (world.config_directory / FILE).write_text("{ this is no session")
    app = FitcheckApp(world)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert any("moved to" in str(note.message) for note in app._notifications)
        assert app.plan is not None

    run(app, person)
    assert (world.config_directory / "session.broken.json").read_text() == "{ this is no session"


def test_a_remembered_model_that_is_gone_is_told(world: World) -> None:
    app = FitcheckApp(world, Choices(model="no-such-model-at-all"))

    async def person(pilot: Pilot[None]) -> None:
        assert app.plan is not None
        assert app.plan.model.name == "llama-3.1-8b"
        assert any("no-such-model" in str(note.message) for note in app._notifications)

    run(app, person)


def test_what_runs_here_filters_sorts_and_opens(world: World) -> None:
    few = tuple(name for name in world.model_names if name.startswith(("qwen3-", "llama-3")))
    app = FitcheckApp(replace(world, model_names=few), LARGE)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("w")
        screen = app.screen
        assert isinstance(screen, CatalogueScreen)
        await until(pilot, lambda: screen._done)
        table = screen.query_one(RowTable)
        assert {one.model.name for one in screen._ranked} == set(few)
        assert "llama-3.1-405b" not in [row.key for row in table.rows]
        await pilot.press("o")
        await pilot.pause()
        assert len(table.rows) == len(few)
        await pilot.press("slash", *"qwen3 4b", "enter")
        await pilot.pause()
        assert table.rows[0].key.startswith("qwen3-4b")
        await pilot.press("enter")
        await pilot.pause()
        assert app.plan is not None
        assert app.plan.model.name.startswith("qwen3-4b")
        assert len(app.screen_stack) == 1

    run(app, person)


def test_what_runs_here_by_kind_and_speed(world: World) -> None:
    """An empty list says why it is empty."""
    few = ("qwen3-8b", "qwen3-30b-a3b", "bitnet-2b", "llama-3.2-1b")
    app = FitcheckApp(replace(world, model_names=few), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("w")
        screen = app.screen
        assert isinstance(screen, CatalogueScreen)
        await until(pilot, lambda: screen._done)
        table = screen.query_one(RowTable)
        await pilot.press(*"a12")
        quick = {one.model.name for one in screen._ranked if speed(one) >= 12}
        await until(pilot, lambda: {row.key for row in table.rows} == quick)
        assert "llama-3.2-1b" in quick
        assert "qwen3-8b" not in quick
        assert "slower or unmeasured" in screen_text(app)
        await pilot.press("escape", "slash", *"ternary")
        await pilot.pause()
        assert [row.key for row in table.rows] == ["bitnet-2b"]
        await pilot.press("x")
        await pilot.pause()
        assert not table.rows
        assert "nothing here fits" in screen_text(app)

    run(app, person)


def test_two_machines_side_by_side(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("c", *"9654", "enter")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        text = screen_text(app)
        assert "Testbench 8" in text
        assert "epyc-9654" in text
        assert "×" in text
        assert app.settings.beside == "epyc-9654"

    run(app, person)


def test_another_machine_drops_what_was_changed_on_the_last(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m", *"512", "enter", "M", *"pi 5", "enter")
        await pilot.pause()
        assert app.choices.machine == "raspberry-pi-5"
        assert app.choices.ram_bytes is None

    run(app, person)


def test_what_would_it_take(world: World) -> None:
    app = FitcheckApp(replace(world, machine_names=("epyc-9654", "raspberry-pi-5")), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("n", "backspace", "backspace", *"30")
        machines = app.screen.query_one("#candidates", RowTable)
        await until(pilot, lambda: len(machines.rows) == 1)
        assert machines.rows[0].key == "epyc-9654"
        wish = app.screen.query_one(Input)
        wish.value = ""
        await pilot.pause()
        assert not machines.rows, "an old answer to no question"
        assert "type how many" in screen_text(app)
        wish.value = "30"
        await until(pilot, lambda: len(machines.rows) == 1)
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert app.choices.machine == "epyc-9654"

    run(app, person)


def test_machines_that_are_found_later_leave_the_list_at_its_first_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slowest that does it comes first, whenever it is found; a person in the list keeps a row."""
    monkeypatch.setattr(needs_screen, "REPAINT_S", 0.0)
    names = ("epyc-9654", "ryzen-9-7950x", "raspberry-pi-5")
    app = FitcheckApp(replace(world, machine_names=names), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("n", "backspace", "backspace", *"1")
        machines = app.screen.query_one("#candidates", RowTable)
        await until(pilot, lambda: len(machines.rows) == len(names))
        assert (machines.rows[0].key, machines.cursor) == ("raspberry-pi-5", 0)

    run(app, person)


def test_a_measurement_runs_beside_the_app_and_is_cancelled(world: World) -> None:
    started, ended = threading.Event(), threading.Event()

    def endless(tell: Callable[[float], None]) -> Outcome:
        try:
            while True:
                tell(0.5)
                started.set()
                threading.Event().wait(0.005)
        finally:
            ended.set()

    app = FitcheckApp(replace(world, jobs=lambda *_: (Job("verify", "never ends", endless),)), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("v", "enter")
        await until(pilot, started.is_set)
        await pilot.pause()
        assert "runs …" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, ended.is_set)
        await until(pilot, lambda: "cancelled" in screen_text(app))
        assert app.marks == {}
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1

    run(app, person)


def test_a_verified_speed_is_drawn_beside_the_prediction(world: World) -> None:
    measured = Measured("qwen3-4b", "TQ1_0", Mark(0, 12.5))
    job = Job("verify", "at once", lambda tell: Outcome((("measured", "12.5 tokens/s"),), None, measured))
    app = FitcheckApp(replace(world, jobs=lambda *_: (job,)), SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("v", "enter")
        await until(pilot, lambda: bool(app.marks))
        await pilot.press("escape")
        await pilot.pause()
        assert app.row is not None
        assert app.row.format == "TQ1_0"
        assert "◆ measured" in screen_text(app)

    run(app, person, (120, 40))


def test_the_bytes_of_a_format_are_taken_apart(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await pilot.pause()
        assert "KV cache f16" in screen_text(app)
        assert "source:" in screen_text(app)
        await pilot.press("escape")

    run(app, person)


def test_no_size_breaks_it(world: World) -> None:
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        for size in [(20, 6), (99, 29), (180, 50)]:
            await pilot.resize_terminal(*size)
            await pilot.press("down", "m", "right", "e", "escape", "f")
            await pilot.pause()
            lines = screen_text(app).splitlines()
            assert (len(lines), {len(line) for line in lines}) == (size[1], {size[0]})
            assert app.screen.query_one("#formats").size.height >= 1

    run(app, person)


def test_add_a_card_raise_its_memory_until_all_layers_fit_and_take_it_away(world: World) -> None:
    app = FitcheckApp(world, Choices(model="qwen3-32b"))

    async def person(pilot: Pilot[None]) -> None:
        without = row(app, "Q3_K_M").decode_tokens_per_s
        await pilot.press("m", *["down"] * 5, "enter", *"3060", "enter")
        await answered(pilot)
        assert app.choices.gpus == ("rtx-3060-12gb",)
        place = row(app, "Q3_K_M").placement
        assert place is not None
        assert 0 < place.gpu_layers < place.layers_total
        assert app.row is not None
        assert app.row.placement is not None
        assert f"{app.row.placement.gpu_layers}/{place.layers_total}" in screen_text(app)
        assert "RTX 3060" in screen_text(app)
        split = row(app, "Q3_K_M").decode_tokens_per_s
        await pilot.press("down")
        for _ in range(4):
            await pilot.press("right")
            await answered(pilot)
        assert app.choices.vram_bytes == 32 * GIB
        place = row(app, "Q3_K_M").placement
        assert place is not None
        assert place.gpu_layers == place.layers_total
        whole = row(app, "Q3_K_M").decode_tokens_per_s
        assert without is not None
        assert split is not None
        assert whole is not None
        assert without.expected < split.expected
        assert whole.expected > 2 * split.expected
        assert " all " in screen_text(app)
        await pilot.press("up", "left")
        await answered(pilot)
        assert (app.choices.gpus, app.choices.vram_bytes) == ((), None)
        assert row(app, "Q3_K_M").decode_tokens_per_s == without

    run(app, person, (120, 40))


def test_one_more_of_the_same_card(world: World) -> None:
    app = FitcheckApp(world, replace(LARGE, gpus=("rtx-3090",)))

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("m", *["down"] * 5, "right")
        await answered(pilot)
        assert app.command == "fitcheck 70b --gpu 2xrtx-3090"
        assert app.plan is not None
        assert [card.name[-2:] for card in app.plan.machine.cards] == ["#1", "#2"]
        assert "2 × RTX 3090" in screen_text(app)

    run(app, person, (120, 40))


def test_keys_that_come_faster_than_plans_all_count(world: World) -> None:
    """Steps build on the newest choice, not on the last answer; the last answer is to the last key."""
    app = FitcheckApp(world, replace(LARGE, gpus=("rtx-3090",)))

    async def person(pilot: Pilot[None]) -> None:
        app.screen.query_one("#field-vram_bytes").focus()
        await pilot.pause()
        burst(app, ["right"] * 3)
        await until(pilot, lambda: app.choices.vram_bytes == 48 * GIB)
        await answered(pilot)
        assert app.plan is not None
        assert app.plan.machine.cards[0].memory_bytes == 48 * GIB

    run(app, person)


def test_layers_that_the_model_has_not_are_refused_and_the_last_plan_stays(world: World) -> None:
    app = FitcheckApp(world, replace(SMALL, gpus=("rtx-3060-12gb",)))

    async def person(pilot: Pilot[None]) -> None:
        app.screen.query_one("#field-gpu_layers").focus()
        await pilot.press("9", "enter")
        await answered(pilot)
        assert app.choices.gpu_layers == 9
        assert "-ngl 9 " in screen_text(app)
        await pilot.press(*"99", "enter")
        await answered(pilot)
        assert "layers to place" in app.problem
        assert app.choices.gpu_layers == 9
        await pilot.press("r")
        await answered(pilot)
        assert (app.choices.gpu_layers, app.problem) == (None, "")

    run(app, person)


def test_a_disk_for_what_does_not_fit(world: World) -> None:
    app = FitcheckApp(world, LARGE)

    async def person(pilot: Pilot[None]) -> None:
        slow = row(app, "Q4_K_M")
        assert slow.decode_bound == "disk"
        assert slow.decode_tokens_per_s is not None
        app.screen.query_one("#field-disk_bytes_per_s").focus()
        await pilot.press(*"14", "enter")
        await pilot.pause()
        fast = row(app, "Q4_K_M").decode_tokens_per_s
        assert fast is not None
        assert fast.expected > 2 * slow.decode_tokens_per_s.expected
        assert app.command == "fitcheck 70b --disk 14"

    run(app, person)


def test_a_session_with_a_card_is_reopened(world: World) -> None:
    chosen = Choices(model="qwen3-4b", gpus=("rtx-3090", "rtx-3090"), vram_bytes=8 * GIB, gpu_layers=3)
    first = FitcheckApp(world, chosen)

    async def leave(pilot: Pilot[None]) -> None:
        await pilot.press("q")

    async def look(pilot: Pilot[None]) -> None:
        assert again.plan is not None
        assert len(again.plan.machine.cards) == 2
        assert again.problem == ""

    run(first, leave)
    again = FitcheckApp(world)
    assert again.choices == chosen
    run(again, look)


def test_the_flags_are_copied(world: World) -> None:
    app = FitcheckApp(world, replace(SMALL, gpus=("rtx-3090",)))

    async def person(pilot: Pilot[None]) -> None:
        await pilot.press("Y")
        await pilot.pause()
        assert app.clipboard == "-ngl 37 -c 4096"

    run(app, person)


def test_a_segment_of_a_card_is_taken_apart(world: World) -> None:
    app = FitcheckApp(world, replace(LARGE, ram_bytes=64 * GIB, gpus=("rtx-3090",)))

    async def person(pilot: Pilot[None]) -> None:
        app.screen.query_one("#memory").focus()
        await pilot.press(*["right"] * 6, "enter")
        await pilot.pause()
        assert app.row is not None
        (cache,) = [
            item for item in app.row.memory if item.what == "kv cache" and item.device.endswith("3090")
        ]
        assert "RTX 3090: kv cache" in screen_text(app)
        assert f"{cache.bytes:,} bytes" in screen_text(app)

    run(app, person, (120, 40))


def test_keys_of_one_read_go_where_the_first_of_them_leads(world: World) -> None:
    """Of ``/qwen`` the ``q`` is a letter, not the table's key that quits."""
    app = FitcheckApp(world, SMALL)

    async def person(pilot: Pilot[None]) -> None:
        burst(app, ["slash", *"qwen3 14b", "enter"])
        await until(pilot, lambda: app.choices.model.startswith("qwen3-14b"))
        assert app.is_running
        burst(app, ["m", *"48", "enter", "down", "down", "down", "left"])
        await until(pilot, lambda: app.choices.threads is not None)
        assert app.choices.ram_bytes == 48 * GIB
        burst(app, ["M", *"pi 5", "enter"])
        await until(pilot, lambda: app.choices.machine == "raspberry-pi-5")

    run(app, person)


def test_it_says_so_politely_where_there_is_no_terminal() -> None:
    import click

    from fitcheck.cli.tui import command
    from fitcheck.errors import BadInput

    with pytest.raises(BadInput, match="needs a terminal") as error, click.Context(command):
        command.main([], standalone_mode=False)
    assert error.value.exit_code == 2


def test_a_gguf_file_is_planned_by_its_own_weights(world: World, tiny_gguf: Path) -> None:
    """What the search box opens is the file, not the formats its shape might have."""
    app = FitcheckApp(world, Choices(model=str(tiny_gguf)))

    async def look(pilot: Pilot[None]) -> None:
        assert app.plan is not None
        assert [row.format for row in app.plan.plans] == ["F32"]
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ExplainScreen))
        names = {row.cells[1].text for row in app.screen.query_one(RowTable).rows}
        assert {"embedding F32", "ffn F32"} <= names

    run(app, look)
