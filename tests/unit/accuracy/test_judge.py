"""Intervals, baselines and scores, against figures worked out by hand and against the runs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.accuracy.baselines import bandwidth_over_size, llmfit
from fitcheck.accuracy.case import Case
from fitcheck.accuracy.judge import ignorant
from fitcheck.accuracy.report import report
from fitcheck.accuracy.residuals import residuals
from fitcheck.accuracy.spread import Residue, spread, spread_of, weighted_quantile
from fitcheck.render.accuracy import accuracy_markdown
from fitcheck.sources.engines import load_engines
from fitcheck.sources.measurements import load_runs
from fitcheck.sources.prompts import load_prompts, prompt_case
from tests.unit.accuracy.conftest import all_cases, engine_of, own_cases

ratios = st.lists(st.floats(0.2, 5), min_size=1, max_size=60)


def case_of(machine: str, model: str, form: str) -> Case:
    wanted = (machine, model, form)
    return next(c for c in all_cases() if (c.run.machine, c.run.model, c.run.format) == wanted)


def residues(values: list[float], engine: str = "e", machines: int = 5) -> list[Residue]:
    return [Residue(engine, "cpu", "spec", str(i % machines), value) for i, value in enumerate(values)]


def test_a_quantile_counts_weights() -> None:
    pairs = [(1.0, 1.0), (2.0, 1.0), (3.0, 8.0)]
    assert [weighted_quantile(pairs, share) for share in (0.1, 0.2, 0.21, 1.0)] == [1.0, 2.0, 3.0, 3.0]


@given(ratios)
def test_a_spread_holds_the_expectation_and_eight_of_ten(values: list[float]) -> None:
    found = spread_of(residues(values, machines=1), "any")
    inside = sum(found.low <= value <= found.high for value in values)
    assert found.low <= 1 <= found.high
    assert inside >= 0.8 * len(values) - 1


def test_few_runs_borrow_from_others() -> None:
    many = residues([0.5 + 0.01 * i for i in range(100)], "other")
    few = residues([1.0] * 5, "own")
    own = spread([*many, *few], "own", "cpu", "spec")
    assert own.runs == 105 and "all engines" in own.of
    with pytest.raises(ValueError, match="gpu"):
        spread(many, "own", "gpu", "spec")


def test_few_machines_say_less_of_the_next() -> None:
    """The machine that is asked about may lie outside of all: one of 100 hardly counts, one of 4 does."""
    values = [0.5 + 0.01 * i for i in range(100)]
    few, many = (spread_of(residues(values, machines=n), "all") for n in (3, 100))
    assert (many.low, many.high) == pytest.approx((0.6, 1.4), abs=0.02)
    assert few.low < many.low and few.high > many.high
    alone = spread_of(residues([0.9, 1.2], machines=2), "all")
    assert (alone.low, alone.high) == (0.9, 1.2)


def test_one_machine_does_not_speak_for_all() -> None:
    """A hundred runs of one machine weigh as ten of ten machines."""
    crowd = [Residue("e", "cpu", "spec", "one", 1.0)] * 100
    others = [Residue("e", "cpu", "spec", f"m{i}", 0.5) for i in range(5)]
    assert spread_of([*crowd, *others], "all").low == 0.5


def test_bandwidth_over_size_is_the_data_sheet_over_the_file() -> None:
    """RTX 4090: 1008 GB/s over 16.06 GB of Llama 3.1 8B in F16."""
    assert bandwidth_over_size(case_of("rtx-4090", "llama-3.1-8b", "F16")) == pytest.approx(62.8, rel=0.01)


@pytest.mark.parametrize(
    ("machine", "model", "form", "expected"),
    [
        ("rtx-4090", "llama-3.1-8b", "F16", 0.55 * 1008 / (8.03 * 2)),
        ("rtx-4090", "llama-3.1-8b", "Q4_K_M", 0.55 * 1008 / (8.03 * 0.5)),
        ("ryzen-9-7950x", "llama-3.1-8b", "Q6_K", 70 / 8.03 * 0.95 * 1.1 * 0.3),
        ("raspberry-pi-5", "llama-3.2-3b", "Q4_K_M", 90 / 3.21 * 1.15 * 0.3),
    ],
)
def test_llmfits_formula_by_hand(machine: str, model: str, form: str, expected: float) -> None:
    assert llmfit(case_of(machine, model, form)) == pytest.approx(expected, rel=0.01)


def test_llmfits_formula_for_experts_by_hand() -> None:
    """Qwen3-30B-A3B, Q4_K_M: 48 layers of 8 experts of 3 x 2048 x 768, all else at 3.2 bytes; 256 GB/s."""
    experts = 48 * 8 * 3 * 2048 * 768 * 0.58
    rest = 48 * (2 * 32 * 128 * 2048 + 2 * 4 * 128 * 2048 + 128 * 2048) + 2 * 151936 * 2048
    found = llmfit(case_of("ryzen-ai-max-plus-395", "qwen3-30b-a3b", "Q4_K_M"))
    assert found == pytest.approx(256e9 / (experts + 3.2 * rest), rel=0.001)


def test_a_machine_of_unknown_memory_is_far_less_certain() -> None:
    engines = [engine_of("llama.cpp", "cpu")]
    blind = spread_of(ignorant(all_cases(), engines), "all")
    assert blind.high / blind.low > 2


def test_cpu_runs_of_machines_never_seen() -> None:
    """The target: a median of at most 15 %, eight of ten runs within their interval."""
    engines = [engine_of("llama.cpp", "cpu"), engine_of("bitnet.cpp", "cpu")]
    found = report(load_runs(), all_cases(), engines, own_cases())
    whole = next(score for score in found.scores if score.kind == "all")
    assert whole.runs == 149
    assert whole.median <= 0.15
    assert 0.73 <= whole.coverage <= 0.87
    assert whole.median < 0.3 * whole.median_llmfit
    assert sum(row.runs for row in found.left_out) == sum(1 for run in load_runs() if run.excluded)


@pytest.mark.slow
def test_all_runs_of_machines_never_seen() -> None:
    prompts = {one: None if one.excluded else prompt_case(one) for one in load_prompts()}
    found = report(load_runs(), all_cases(), load_engines(), own_cases(), prompts)
    scores = {(score.kind, score.name): score for score in found.scores}
    assert scores["all", "on a GPU"].median <= 0.15
    assert scores["all", "on a CPU"].median <= 0.15
    by_basis = [score for score in found.scores if score.kind == "basis" and score.runs >= 30]
    assert len(by_basis) == 3
    assert all(0.73 <= score.coverage <= 0.87 for score in by_basis)
    page = Path(__file__).parents[3] / "docs" / "accuracy.md"
    assert page.read_text(encoding="utf-8") == accuracy_markdown(found)


@pytest.mark.slow
def test_the_profiles_hold_the_residuals_of_the_runs() -> None:
    for engine, rows in residuals(all_cases(), load_engines(), own_cases()).items():
        for row in rows:
            held = next(kept for kept in engine.residuals if kept.basis == row.basis)
            assert (held.low, held.high) == pytest.approx((row.low, row.high), abs=0.03)
            assert held.runs == row.runs
