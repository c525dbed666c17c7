"""Calibration on machines whose true factors are known, because they were made up."""

from dataclasses import replace
from functools import cache
from itertools import permutations
from math import exp, log
from pathlib import Path
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.calibrate import engines_here, learn, learned_from, prediction, question, undone
from fitcheck.errors import BadInput
from fitcheck.schema.calibration import Factors, Run, Shape
from fitcheck.schema.machine import KernelRate, Machine, ReadBandwidth
from fitcheck.schema.request import Request
from fitcheck.sources.calibration import Kept, save_calibration
from fitcheck.sources.calibration_path import machine_key
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.calibration import calibrated, with_factors

ENGINES = load_engines()
LLAMA = next(e for e in ENGINES if e.name == "llama.cpp" and e.device == "cpu")
HERE = Machine(
    name="made-up",
    source="test",
    ram_bytes=64 << 30,
    arch="x86_64",
    cores=8,
    threads=8,
    simd=("avx2", "avx512_vnni"),
    read_bandwidth=(ReadBandwidth(8, "4k", 60e9, 200e9),),
    bandwidth_basis="measured",
)
RUN_ON = ("Q4_K_M", "TQ1_0", "Q8_0")
UNSEEN = ("F16", "Q6_K", "Q2_K", "TQ2_0", "Q5_K_M")
FEW_CORES = replace(HERE, cores=2, threads=2)  # where arithmetic binds the smallest types
TRUTHS = (Factors(0.7, 1.0, 1.0), Factors(0.9, 1.4, 1.6), Factors(1.2, 0.7, 0.6))


@cache
def shape(model: str, form: str) -> Shape:
    return Shape(load_model(model), form)


def asked(form: str, model: str = "llama-3.2-3b", speed: float = 1.0, depth: int = 0) -> Run:
    return Run(shape(model, form), Request(threads=8, depth=depth), "llama.cpp", "cpu", speed, "test")


def truth(run: Run, true: Factors, machine: Machine = HERE) -> float:
    row = prediction(run, machine, [with_factors(LLAMA, true)]).decode_tokens_per_s
    assert row is not None
    return row.expected


def runs_of(true: Factors, noise: float = 0.0, seed: int = 0) -> tuple[Run, ...]:
    random = Random(seed)
    found = []
    for form in RUN_ON:
        for model, depth in (("llama-3.2-3b", 0), ("llama-3.1-8b", 2048)):
            run = asked(form, model, depth=depth)
            found.append(replace(run, tokens_per_s=truth(run, true) * exp(random.gauss(0, noise))))
    return tuple(found)


def error(true: Factors, engines: tuple[object, ...] | list[object]) -> float:
    """Median absolute log error over formats and a model that nobody ran."""
    errors = []
    for form in UNSEEN:
        run = asked(form, "qwen3-14b")
        row = prediction(run, HERE, engines).decode_tokens_per_s  # type: ignore[arg-type]
        assert row is not None
        errors.append(abs(log(row.expected / truth(run, true))))
    return median(errors)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("true", TRUTHS)
def test_unseen_formats_gain_from_a_few_noisy_runs(true: Factors, seed: int) -> None:
    before = error(true, [LLAMA])
    after = error(true, calibrated([LLAMA], learn(runs_of(true, 0.04, seed), HERE, [LLAMA])))
    assert after < max(0.06, 0.5 * before)


@pytest.mark.parametrize("true", TRUTHS[:2])
def test_factors_are_found_where_runs_tell_them(true: Factors) -> None:
    runs = [replace(run, request=replace(run.request, threads=2)) for run in runs_of(Factors())]
    told = [replace(run, tokens_per_s=truth(run, true, FEW_CORES)) for run in runs]
    [found] = learn(told, FEW_CORES, [LLAMA])
    assert found.factors.bandwidth == pytest.approx(true.bandwidth, rel=0.15)
    assert found.factors.arithmetic == pytest.approx(true.arithmetic, rel=0.15)
    assert found.runs == len(told)


def test_no_run_changes_nothing() -> None:
    assert learn((), HERE, ENGINES) == ()
    assert calibrated(ENGINES, ()) == ENGINES
    assert with_factors(LLAMA, Factors()) == LLAMA


def test_one_run_is_believed_in_part() -> None:
    """A single run half as fast as predicted may be a busy machine: the factors stop short of it."""
    run = asked("Q8_0")
    slow = replace(run, tokens_per_s=truth(run, Factors()) / 2)
    after = prediction(run, HERE, calibrated([LLAMA], learn((slow,), HERE, [LLAMA]))).decode_tokens_per_s
    assert after is not None
    assert slow.tokens_per_s * 1.02 < after.expected < truth(run, Factors()) * 0.75


def test_order_does_not_matter() -> None:
    runs = runs_of(Factors(0.8, 1.2, 1.5), 0.05)[:3]
    assert len({learn(order, HERE, [LLAMA]) for order in permutations(runs)}) == 1


def test_the_same_question_twice_counts_once() -> None:
    runs = runs_of(Factors(0.8, 1.1, 1.0), 0.03)
    [once], [thrice] = learn(runs, HERE, ENGINES), learn(runs * 3, HERE, ENGINES)
    assert thrice.runs == once.runs
    assert thrice.factors.bandwidth == pytest.approx(once.factors.bandwidth)
    assert thrice.low == pytest.approx(once.low)


def measured_basis(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Those that start from the same spread: HERE's memory is measured, TQ1_0's arithmetic assumed."""
    return tuple(run for run in runs if run.shape.format != "TQ1_0")


def test_consistent_runs_narrow_the_interval_and_scattered_ones_widen_it() -> None:
    true = Factors(0.85, 1.1, 1.0)
    [one] = learn(measured_basis(runs_of(true))[:1], HERE, [LLAMA])
    [four] = learn(measured_basis(runs_of(true)), HERE, [LLAMA])
    [wild] = learn(measured_basis(runs_of(true, 0.5)), HERE, [LLAMA])
    assert four.high / four.low < one.high / one.low < wild.high / wild.low
    row = prediction(asked("F16"), HERE, calibrated([LLAMA], [four]))
    speed = row.decode_tokens_per_s
    assert speed is not None
    assert row.speed_basis == "measured"
    assert speed.low == pytest.approx(speed.expected * four.low)


def test_undo_restores_exactly() -> None:
    first, second = runs_of(Factors(0.8, 1.2, 1.5), 0.05)[:3], runs_of(Factors(0.7, 1, 1))[3:]
    empty = Kept(machine_key(HERE))
    one = learned_from(first, empty, HERE, ENGINES)
    two = learned_from(second, one, HERE, ENGINES)
    assert two.learned != one.learned
    assert undone(two, HERE, ENGINES) == one
    assert undone(one, HERE, ENGINES) == empty
    with pytest.raises(BadInput, match="nothing was learned"):
        undone(empty, HERE, ENGINES)


def test_a_speed_above_the_limit_is_questioned() -> None:
    run = asked("Q8_0")
    speed = prediction(run, HERE, ENGINES).decode_tokens_per_s
    assert speed is not None
    question(replace(run, tokens_per_s=speed.limit * 0.99), HERE, ENGINES)
    with pytest.raises(BadInput, match="above the physical limit") as caught:
        learned_from([replace(run, tokens_per_s=speed.limit * 1.01)], Kept("made-up"), HERE, ENGINES)
    assert "200.0 GB/s" in caught.value.message
    assert "fitcheck probe --fresh" in caught.value.remedy


@settings(max_examples=10)
@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0))
def test_no_factors_lift_a_speed_above_the_limit(bandwidth: float, arithmetic: float) -> None:
    engine = with_factors(LLAMA, Factors(bandwidth, arithmetic, 0.2))
    for form in (*RUN_ON, *UNSEEN):
        speed = prediction(asked(form), HERE, [engine]).decode_tokens_per_s
        assert speed is not None
        assert 0 < speed.low <= speed.expected <= speed.high <= speed.limit


def test_the_minute_of_the_run_is_its_own() -> None:
    """A run beside slow reads is judged by those, so that a slow minute teaches nothing wrong."""
    run = replace(asked("Q8_0"), bandwidth_bytes_per_s=30e9)
    slow = prediction(run, HERE, [LLAMA]).decode_tokens_per_s
    assert slow is not None
    [found] = learn((replace(run, tokens_per_s=slow.expected),), HERE, [LLAMA])
    assert found.factors == Factors()


YARDSTICK = next(rate for rate in LLAMA.reference if rate.isa == "avx512vnni")


def core_of(speed: float) -> KernelRate:
    """A core so fast beside the profile's."""
    return KernelRate(YARDSTICK.type, YARDSTICK.isa, speed * YARDSTICK.weights_per_s, "measured")


def on_a_slow_core() -> Run:
    """Bound by arithmetic, on a core of half the profile's speed, and otherwise as predicted."""
    run = replace(asked("TQ1_0"), request=Request(threads=2))
    slow = replace(FEW_CORES, kernel_rates=(core_of(0.5),))
    return replace(run, tokens_per_s=truth(run, Factors(), slow), core=core_of(0.5))


@pytest.mark.parametrize("usual", [0.5, 1.0])
def test_a_core_that_was_timed_is_not_learned_as_the_engines(usual: float) -> None:
    """Where plans know the core, a run beside a slow one teaches nothing, however fast it is else."""
    known = replace(FEW_CORES, kernel_rates=(core_of(usual),))
    [found] = learn((on_a_slow_core(),), known, [LLAMA])
    assert found.factors == Factors()


def test_a_core_that_plans_do_not_know_is_learned_once() -> None:
    run = on_a_slow_core()
    [found] = learn((run,), FEW_CORES, [LLAMA])
    assert found.factors.arithmetic < 0.85
    without = learn((replace(run, core=None),), FEW_CORES, [LLAMA])
    assert [found] == list(without)


def test_a_core_timed_later_is_not_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned while nobody knew the core, then benched: learned again, and the plan is the run's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    run = on_a_slow_core()
    save_calibration(learned_from((run,), Kept(machine_key(FEW_CORES)), FEW_CORES, ENGINES))
    benched = replace(FEW_CORES, kernel_rates=(core_of(0.5),))
    engines, _ = engines_here(benched, ENGINES)
    row = prediction(run, benched, engines).decode_tokens_per_s
    assert row is not None
    assert row.expected == pytest.approx(run.tokens_per_s)


def test_engines_that_nobody_ran_stay_as_they_are() -> None:
    learned = learn(runs_of(Factors(0.8, 1, 1))[:2], HERE, ENGINES)
    moved = [e for e, was in zip(calibrated(ENGINES, learned), ENGINES, strict=True) if e != was]
    assert [(e.name, e.device, e.calibrated_by) for e in moved] == [("llama.cpp", "cpu", 2)]
