"""What has no Textual in it: choices, the command line, matching, the plot, the memory of a session."""

import json
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.schema.machine import Gpu, Machine, ReadBandwidth
from fitcheck.sources.machines import find_machine
from fitcheck.sources.matching import Match, matches
from fitcheck.sources.overrides import Bus, Overrides, imagine, parse_bus, parse_cards
from fitcheck.tui.choices import Choices
from fitcheck.tui.command_line import arguments, command_line
from fitcheck.tui.config import FILE, Settings, config_directory, load_settings, save_settings
from fitcheck.tui.exports import write_new
from fitcheck.tui.field import along, around
from fitcheck.tui.plot import Mark, Plot, Point
from fitcheck.units import GIB

CHOICES = st.builds(
    Choices,
    model=st.sampled_from(["8b", "llama-3.1-70b", "a model with blanks"]),
    machine=st.none() | st.just("epyc-9654"),
    ram_bytes=st.none() | st.integers(1, 1 << 20).map(lambda mib: mib << 20),
    bandwidth_bytes_per_s=st.none() | st.integers(1, 20000).map(lambda tenth: tenth * 1e8),
    threads=st.none() | st.integers(1, 4096),
    simd=st.none() | st.just(("avx2",)) | st.just(("neon", "dotprod")),
    gpus=st.none() | st.just(()) | st.lists(st.sampled_from(["rtx-3090", "a10g"]), min_size=1).map(tuple),
    vram_bytes=st.none() | st.integers(1, 1 << 18).map(lambda mib: mib << 20),
    disk_bytes_per_s=st.none() | st.integers(1, 200).map(lambda tenth: tenth * 1e8),
    gpu_layers=st.none() | st.integers(0, 200),
    cpu_moe_layers=st.none() | st.integers(0, 200),
    prompt=st.none() | st.integers(1, 1 << 20),
    context=st.none() | st.integers(1, 1 << 20),
    kv_type=st.sampled_from(["f16", "q8_0"]),
    engine=st.none() | st.just("llama.cpp"),
    slots=st.integers(1, 256),
    batch=st.integers(1, 256),
    ubatch=st.integers(1, 65536),
    mmap=st.booleans(),
    reserve_bytes=st.none() | st.just(0) | st.just(GIB),
)


@settings(max_examples=50)
@given(CHOICES)
def test_the_command_line_means_the_same_choices(choices: Choices) -> None:
    """Parsed by the very options of ``fitcheck plan``."""
    from fitcheck.cli.plan import command

    words = list(arguments(choices))
    assert shlex.split(command_line(choices)) == ["fitcheck", *words]
    with command.make_context("plan", words) as context:
        read = context.params
    simd = read["simd"].split(",") if read["simd"] else None
    assert (read["model"], read["machine_name"], read["ram"]) == (
        choices.model,
        choices.machine,
        choices.ram_bytes,
    )
    assert (read["threads"], simd and tuple(simd)) == (choices.threads, choices.simd)
    assert (read["context"], read["kv_type"], read["engine"]) == (
        choices.context,
        choices.kv_type,
        choices.engine,
    )
    assert (read["slots"], read["reserve"]) == (choices.slots, choices.reserve_bytes)
    assert (read["batch"], read["ubatch"], read["no_mmap"]) == (
        choices.batch,
        choices.ubatch,
        not choices.mmap,
    )
    assert read["cpu_moe_layers"] == choices.cpu_moe_layers
    assert read["bandwidth"] == pytest.approx(choices.bandwidth_bytes_per_s)
    assert read["disk"] == pytest.approx(choices.disk_bytes_per_s)
    assert (read["vram"], read["gpu_layers"], read["prompt"]) == (
        choices.vram_bytes,
        choices.gpu_layers,
        choices.prompt,
    )
    assert read["no_gpu"] == (choices.gpus == ())
    cards = tuple(card for name in read["gpu_names"] for card in parse_cards(name))
    assert Counter(card.name for card in cards) == Counter(
        find_machine(name).gpus[0].name for name in choices.gpus or ()
    )


@settings(max_examples=30)
@given(CHOICES)
def test_a_session_comes_back_as_it_was(choices: Choices) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(replace(choices, bus=Bus(2, 5.6e9)), favourites=("a", "b"), beside="x")
        assert save_settings(settings, Path(directory)) is None
        assert load_settings(Path(directory)) == (settings, None)


def test_every_choice_has_an_option() -> None:
    """A choice that no option says would be lost between the TUI and the shell."""
    from dataclasses import fields

    from fitcheck.tui.command_line import OPTIONS

    assert {field.name for field in fields(Choices)} - {"model"} == set(OPTIONS)


def test_choices_reach_the_machine_and_the_request() -> None:
    card = Gpu("Card", 8 * GIB)
    choices = Choices(
        ram_bytes=GIB, threads=3, gpus=("card", "card"), disk_bytes_per_s=2e9, gpu_layers=7,
        context=512, prompt=100, slots=2, reserve_bytes=0,
    )  # fmt: skip
    told = choices.overrides({"card": card}.__getitem__)
    assert (told.gpus, told.vram_bytes, told.disk_bytes_per_s) == ((card, card), None, 2e9)
    assert (told.ram_bytes, told.threads) == (GIB, 3)
    asked = choices.request
    assert (asked.context, asked.slots, asked.reserve_bytes, asked.threads) == (512, 2, 0, 3)
    assert (asked.gpu_layers, asked.prompt) == (7, 100)
    assert choices.on_machine("epyc-9654") == Choices(
        machine="epyc-9654", context=512, prompt=100, slots=2, reserve_bytes=0
    )


def test_layers_and_memory_belong_to_the_card_they_were_set_for() -> None:
    one = Choices(gpus=("rtx-3090",), vram_bytes=8 * GIB, gpu_layers=20)
    assert one.put("gpus", ("rtx-4090",)) == Choices(gpus=("rtx-4090",))
    assert one.put("gpus", ()) == Choices(gpus=())
    assert one.without("gpus") == Choices()
    assert one.put("vram_bytes", 16 * GIB).gpu_layers == 20
    assert Choices(vram_bytes=8 * GIB, gpu_layers=20).without("vram_bytes") == Choices()
    assert one.put("model", "8b").gpu_layers is None


def spoilt(change: Any) -> str:
    from dataclasses import asdict

    saved = {"schema": "fitcheck.session/1", **asdict(Settings())}
    change(saved)
    return json.dumps(saved)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "null",
        "{}",
        "\x00\xff",
        "[" * 100_000,
        spoilt(lambda saved: saved.update(schema="fitcheck.session/9")),
        spoilt(lambda saved: saved.update(theme=7)),
        spoilt(lambda saved: saved.update(stranger=1)),
        spoilt(lambda saved: saved.pop("choices")),
        spoilt(lambda saved: saved["choices"].update(ram_bytes=-1)),
        spoilt(lambda saved: saved["choices"].update(ram_bytes="16G")),
        spoilt(lambda saved: saved["choices"].update(bus={"channels": 2})),
        spoilt(lambda saved: saved["choices"].update(bus={"channels": "two", "transfers_per_s": 5.6e9})),
        spoilt(lambda saved: saved["choices"].update(simd=[7])),
        spoilt(lambda saved: saved["choices"].update(gpus="rtx-3090")),
        spoilt(lambda saved: saved["choices"].update(gpu_layers=-1)),
        spoilt(lambda saved: saved["choices"].update(batch=0)),
        spoilt(lambda saved: saved["choices"].update(ubatch=0)),
        spoilt(lambda saved: saved["choices"].update(mmap="yes")),
        spoilt(lambda saved: saved["choices"].update(bandwidth_bytes_per_s=float("nan"))),
    ],
)
def test_a_broken_session_is_moved_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    settings, notice = load_settings(tmp_path)
    assert settings == Settings()
    assert notice is not None
    assert "moved to" in notice
    assert not (tmp_path / FILE).exists()
    assert (tmp_path / "session.broken.json").read_text(encoding="latin-1") == text


def test_a_session_that_cant_be_written_is_a_notice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notice = save_settings(Settings(), tmp_path / "file")
    assert notice is not None
    assert "can't be remembered" in notice


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/somewhere"}, "linux", "/somewhere/fitcheck"),
        ({"XDG_CONFIG_HOME": "relative"}, "linux", ".config/fitcheck"),
        ({}, "darwin", "Library/Application Support/fitcheck"),
        ({"APPDATA": "/roaming"}, "win32", "/roaming/fitcheck"),
    ],
)
def test_the_config_directory(environment: dict[str, str], platform: str, expected: str) -> None:
    assert str(config_directory(environment, platform)).endswith(expected)


def test_bandwidth_and_modules_are_rivals() -> None:
    typed = Choices().put("bandwidth_bytes_per_s", 60e9).put("bus", Bus(2, 5.6e9))
    assert (typed.bandwidth_bytes_per_s, typed.bus) == (None, Bus(2, 5.6e9))
    assert typed.put("bandwidth_bytes_per_s", 50e9).bus is None
    assert typed.put("threads", 4).bus == Bus(2, 5.6e9)


@pytest.mark.parametrize("text", ["2x5600", "2 x DDR5-5600", "2×5600 MT/s", "2*lpddr5-5600"])
def test_a_bus_is_typed_as_people_say_it(text: str) -> None:
    assert parse_bus(text) == Bus(2, 5.6e9)
    assert parse_bus(text).peak_bytes_per_s == 89.6e9


@pytest.mark.parametrize(
    "text", ["", "2", "x5600", "0x5600", "2x0", "2x5600x", "two x 5600", "2x" + "9" * 50]
)
def test_what_is_no_bus(text: str) -> None:
    with pytest.raises(BadInput):
        parse_bus(text)


def test_new_modules_forget_what_the_old_ones_read() -> None:
    machine = Machine(
        "m", "test", 16 * GIB, bandwidth_bytes_per_s=50e9, read_bandwidth=(ReadBandwidth(8, "huge", 50e9),)
    )
    changed = imagine(machine, Overrides(bus=Bus(4, 4.8e9)))
    assert changed.peak_bandwidth_bytes_per_s == 4 * 8 * 4.8e9
    assert changed.read_bandwidth == ()
    assert changed.bandwidth_bytes_per_s is None
    assert changed.overrides == ("memory",)
    assert imagine(machine, Overrides()) == machine


NAMES = ("llama-2-70b", "llama-3.1-70b", "llama-3.1-8b", "qwen3-32b", "qwen3-1.7b")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("70b", Match("llama-3.1-70b", "70b")),
        ("llama-2", Match("llama-2-70b")),
        ("lla 8", Match("llama-3.1-8b")),
        ("QWEN3-32", Match("qwen3-32b")),
        ("qwen3 1.7", Match("qwen3-1.7b")),
    ],
)
def test_what_is_typed_finds(text: str, first: Match) -> None:
    assert matches(text, NAMES, [("llama-3.1-70b", "70b")])[0] == first


def test_matching_finds_nothing_everything_and_favourites_first() -> None:
    assert matches("mixtral", NAMES) == []
    assert [match.name for match in matches("", NAMES)] == sorted(NAMES)
    assert matches("llama", NAMES, first=["llama-3.1-8b"])[0].name == "llama-3.1-8b"


@given(st.lists(st.integers(1, 1000), min_size=1, unique=True).map(sorted), st.integers(0, 1001))
def test_steps_stay_on_the_ladder_and_go_the_right_way(ladder: list[int], value: int) -> None:
    up, down = along(ladder, value, 1), along(ladder, value, -1)
    assert {up, down} <= set(ladder)
    assert up > value or up == ladder[-1]
    assert down < value or down == ladder[0]


def test_a_ring_has_no_end_and_a_stranger_leads_to_its_first() -> None:
    assert [around("abc", letter, 1) for letter in "abc"] == ["b", "c", "a"]
    assert around("abc", "z", -1) == "a"


SPEEDS = st.floats(0.001, 5e4)


@st.composite
def plots(draw: st.DrawFn) -> Plot:
    depths = sorted(draw(st.sets(st.integers(0, 1 << 20), min_size=2, max_size=8)))
    points = []
    for depth in depths:
        low, expected, high = sorted((draw(SPEEDS), draw(SPEEDS), draw(SPEEDS)))
        points.append(Point(depth, low, expected, high))
    marks = [Mark(depths[0], draw(SPEEDS))] if draw(st.booleans()) else []
    return Plot(points, draw(st.integers(0, 1 << 20)), marks)


@settings(max_examples=40)
@given(plots(), st.integers(20, 120), st.integers(4, 40))
def test_a_plot_fills_its_box_exactly(plot: Plot, width: int, height: int) -> None:
    lines = plot.lines(width, height)
    assert len(lines) == height
    for line in lines:
        assert sum(len(run.text) for run in line) == width
    kinds = {run.kind for line in lines for run in line}
    assert "line" in kinds or plot.marks
    assert ("measured" in kinds) == bool(plot.marks)


def test_the_band_lies_around_the_line() -> None:
    plot = Plot([Point(0, 4.0, 5.0, 6.0), Point(1000, 4.0, 5.0, 6.0)], 0)
    lines = plot.lines(60, 22)
    rows = {
        kind: [y for y, line in enumerate(lines) for run in line if run.kind == kind]
        for kind in ("line", "band")
    }
    assert plot.top == 6.0
    assert len(set(rows["line"])) == 1
    assert min(rows["band"]) == 0
    assert max(rows["band"]) == pytest.approx(20 / 3, abs=1)


def test_write_new_never_overwrites(tmp_path: Path) -> None:
    first = write_new(tmp_path, "plan", ".json", b"a")
    second = write_new(tmp_path, "plan", ".json", b"b")
    assert (first.name, second.name) == ("plan.json", "plan-2.json")
    assert first.read_text() == "a"


def test_click_is_what_the_command_line_is_checked_with() -> None:
    """The property above would hold for nothing if the command took any word."""
    from fitcheck.cli.plan import command

    with pytest.raises(click.UsageError):
        command.make_context("plan", ["8b", "--no-such-option", "1"])
