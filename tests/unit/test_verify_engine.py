"""verify with an engine on a made-up machine: what is timed when, and what the prediction takes of it."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import harmonic_mean

import pytest

from fitcheck import verify_engine
from fitcheck.bench import engine_run
from fitcheck.bench.clock import Deadline
from fitcheck.bench.core import CoreClock
from fitcheck.expectation import predicted
from fitcheck.render.json import verification_json
from fitcheck.render.verification import print_verification
from fitcheck.runners.task import Task, Timed
from fitcheck.schema.calibration import Shape
from fitcheck.schema.engine import TypeRate
from fitcheck.schema.machine import KernelRate, Machine, Pages, ReadBandwidth
from fitcheck.schema.measurement import Verification
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.verify_engine import EngineCheck, EngineRun

MACHINE = Machine("made up", "test", ram_bytes=None, arch="x86_64", cores=2, threads=2, simd=("avx512_vnni",))
ENGINES = load_engines()
LLAMA = next(engine for engine in ENGINES if (engine.name, engine.device) == ("llama.cpp", "cpu"))
YARDSTICK = next(rate for rate in LLAMA.reference if rate.isa == "avx512vnni")
SHAPE = Shape(load_model("llama-3.2-1b"), "TQ1_0")  # bound by arithmetic
BUFFER, READ = 1 << 28, 30e9


class Stage:
    """Who is at work, in turn; nobody may start before another has ended."""

    def __init__(self, cores: Sequence[float]) -> None:
        self.events: list[str] = []
        self.cores = iter(cores)

    def seconds(self, threads: int, pages: Pages) -> float:
        self.events.append("read")
        return BUFFER / READ

    def core(self) -> float:
        self.events.append("core")
        return next(self.cores)

    def turn(self) -> Timed:
        self.events.append("engine")
        return Timed((20.0, 20.0), (), "build", 1 << 30)


@dataclass(frozen=True)
class MadeUp:
    """An engine that decodes 20 tokens a second, whatever happens."""

    stage: Stage
    name = "made-up"
    flags = ("-t", "2")
    features = None

    @classmethod
    def found(cls, given: str | None) -> None:
        return None

    @contextlib.contextmanager
    def session(self, task: Task, deadline: Deadline) -> Iterator["MadeUp"]:
        yield self

    def turn(self) -> Timed:
        return self.stage.turn()


def check(
    monkeypatch: pytest.MonkeyPatch, cores: Sequence[float], *, timed: bool = True, machine: Machine = MACHINE
) -> tuple[Stage, Verification]:
    """What is said of an engine between whose rounds a core did so much."""
    stage = Stage(cores)

    @contextlib.contextmanager
    def clock_of(reference: Sequence[TypeRate], threads: int) -> Iterator[CoreClock | None]:
        assert (reference, threads) == (LLAMA.reference, 2)
        yield CoreClock(YARDSTICK, threads, stage.core) if timed else None

    monkeypatch.setattr(verify_engine, "clock_of", clock_of)
    monkeypatch.setattr(verify_engine, "environment", lambda machine, pages: {"cpu": "made up"})
    monkeypatch.setattr(engine_run, "native_reader", lambda: lambda *asked: contextlib.nullcontext(stage))
    run = EngineRun(MadeUp(stage), Path("made-up.gguf"), 0, 60, BUFFER)
    request = Request(engine="llama.cpp", threads=2)
    return stage, EngineCheck(SHAPE, run, machine, ENGINES, request).verify(lambda share: None)


def expected(core: float | None) -> float:
    """By hand: the plan of a machine with that bandwidth and that core, and nothing else."""
    rates = (KernelRate(YARDSTICK.type, YARDSTICK.isa, core, "measured"),) if core else ()
    machine = replace(MACHINE, read_bandwidth=(ReadBandwidth(2, "4k", READ),), kernel_rates=rates)
    row = predicted(SHAPE, Request(engine="llama.cpp", threads=2), "cpu", machine, ENGINES)
    assert row.decode_tokens_per_s
    return row.decode_tokens_per_s.expected


def test_nothing_is_timed_while_the_engine_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = check(monkeypatch, [YARDSTICK.weights_per_s] * 4)
    between = ["read"] * 4 + ["core"]
    assert stage.events == [*between, *(["engine", *between] * 3)]


def test_a_slow_core_is_in_its_own_rounds_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round stands beside the mean of the readings around it."""
    rates = [YARDSTICK.weights_per_s * share for share in (1.0, 0.5, 0.5, 0.8)]
    means = [harmonic_mean(pair) for pair in pairwise(rates)]
    _, result = check(monkeypatch, rates)
    assert result.predicted_tokens_per_s == pytest.approx(sorted(map(expected, means))[1])
    assert result.predicted_tokens_per_s < 0.8 * expected(YARDSTICK.weights_per_s)
    assert result.core is not None
    assert result.core.raw == pytest.approx(means)
    assert result.core.speed == pytest.approx(sorted(means)[1] / YARDSTICK.weights_per_s)
    assert result.unstable_why is not None
    assert result.unstable_why.startswith("the core's speed moved by")


def test_a_core_timed_now_outdoes_what_was_kept_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kernel's rate, kept from an earlier hour, must not speak beside it."""
    kept = KernelRate("I2_S", "avx2", 9e9, "measured")
    machine = replace(MACHINE, kernel_rates=(kept,))
    _, result = check(monkeypatch, [YARDSTICK.weights_per_s] * 4, machine=machine)
    assert result.predicted_tokens_per_s == pytest.approx(expected(YARDSTICK.weights_per_s))
    assert (result.stable, result.notes) == (True, ())


def test_without_a_known_kernel_all_is_as_before_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, result = check(monkeypatch, [], timed=False)
    assert "core" not in stage.events
    assert result.core is None
    assert result.predicted_tokens_per_s == pytest.approx(expected(None))
    assert result.notes[0].startswith("the core was not timed")


def test_the_core_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, result = check(monkeypatch, [0.9 * YARDSTICK.weights_per_s] * 4)
    kept = json.loads(verification_json(result))["core"]
    assert (kept["format"], kept["isa"], kept["threads"]) == (YARDSTICK.type, YARDSTICK.isa, 2)
    assert len(kept["raw"]) == 3
    with (tmp_path / "shown").open("w+", encoding="utf-8") as file:
        print_verification(result, file)
        file.seek(0)
        shown = file.read()
    assert "0.90 of the one in llama.cpp's profile" in shown
    assert "I2_S avx512vnni, 184 × 10⁹ weights/s" in shown
