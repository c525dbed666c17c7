"""What a plan must hold, whatever the machine."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.budget import OS_MOST, budget_of, least_memory
from fitcheck.choice import BEST_BITS
from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.quality_table import PERPLEXITY
from fitcheck.planner import find_engine, plan
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.schema.request import Request
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine
from fitcheck.sources.resolve import resolve_model
from fitcheck.units import GIB

MACHINE = Machine(
    "a desktop", "test", 64 * GIB, arch="x86_64", cores=8, threads=16, simd=("avx2", "fma"),
    peak_bandwidth_bytes_per_s=89.6e9,
)  # fmt: skip


@cache
def engines() -> tuple[Engine, ...]:
    return load_engines()


def ask(name: str, machine: Machine = MACHINE, **request: object) -> Plan:
    return plan(resolve_model(name), machine, Request(**request), engines())  # type: ignore[arg-type]


def by_name(answer: Plan) -> dict[str, FormatPlan]:
    return {row.format: row for row in answer.plans}


def with_ram(gigabytes: float) -> Machine:
    return replace(MACHINE, ram_bytes=int(gigabytes * GIB))


@settings(max_examples=25)
@given(st.floats(1, 300), st.floats(0, 200))
def test_more_ram_never_loses(ram: float, more: float) -> None:
    rank = {"no": 0, "tight": 1, "yes": 2}
    small, large = by_name(ask("70b", with_ram(ram))), by_name(ask("70b", with_ram(ram + more)))
    for name, row in small.items():
        # A fit may turn tight again: the margin grows with the memory.
        assert rank[large[name].fits] >= min(rank[row.fits], rank["tight"])
        assert row.max_context <= large[name].max_context


@settings(max_examples=25)
@given(st.sampled_from(["8b", "70b", "qwen3-30b-a3b", "bitnet-2b"]), st.integers(1, 3840))
def test_more_context_never_needs_less(name: str, context: int) -> None:
    less, more = by_name(ask(name, context=context)), by_name(ask(name, context=context + 256))
    for form, row in less.items():
        assert row.total_bytes <= more[form].total_bytes


@settings(max_examples=25)
@given(st.floats(5e9, 900e9), st.floats(1.0, 4.0))
def test_more_bandwidth_is_never_slower(bandwidth: float, factor: float) -> None:
    slow = by_name(ask("8b", replace(MACHINE, peak_bandwidth_bytes_per_s=bandwidth)))
    fast = by_name(ask("8b", replace(MACHINE, peak_bandwidth_bytes_per_s=bandwidth * factor)))
    for form, row in slow.items():
        there = fast[form].decode_tokens_per_s
        if row.decode_tokens_per_s and there:
            assert row.decode_tokens_per_s.expected <= there.expected * (1 + 1e-9)
            assert row.decode_tokens_per_s.expected <= row.decode_tokens_per_s.limit


def test_the_longest_context_fits_and_one_step_more_does_not() -> None:
    for form, row in by_name(ask("8b", with_ram(12), context=256)).items():
        if not 0 < row.max_context < 131072:
            continue
        assert by_name(ask("8b", with_ram(12), context=row.max_context, formats=(form,)))[form].fits != "no"
        longer = ask("8b", with_ram(12), context=row.max_context + 256, formats=(form,))
        assert by_name(longer)[form].fits == "no"


@pytest.mark.parametrize("ram", [5, 6, 7, 8, 10, 16, 64])
def test_the_best_loses_least_of_what_fits_well(ram: float) -> None:
    answer = ask("8b", with_ram(ram))
    best = by_name(answer)[answer.best or ""]
    assert best.fits == "yes"
    assert best.bits_per_weight <= BEST_BITS
    published = PERPLEXITY["llama-3-8b"]
    rivals = [row.format for row in answer.plans if row.fits == "yes" and row.bits_per_weight <= BEST_BITS]
    assert published[best.format] == min(published[form] for form in rivals if form in published)


def test_the_format_a_model_was_published_in_loses_nothing() -> None:
    assert ask("gpt-oss-20b", with_ram(64)).best == "MXFP4_MOE"


def test_a_ternary_model_takes_a_ternary_format_that_an_engine_loads() -> None:
    answer = ask("bitnet-2b")
    best = by_name(answer)[answer.best or ""]
    assert best.format in ("I2_S", "TL2", "TQ1_0", "TQ2_0")
    assert best.engine != "fitcheck"


def test_a_model_that_was_not_trained_ternary_never_gets_one() -> None:
    answer = ask("70b", with_ram(17), context=256)
    assert answer.best not in ("trit5", "I2_S", "TL1", "TL2", "TQ1_0", "TQ2_0")


def test_kernels_of_another_processor_are_not_offered() -> None:
    row = by_name(ask("bitnet-2b"))["TL1"]
    assert row.decode_tokens_per_s is None
    assert any("aarch64" in note for note in row.notes)


def test_a_card_alone_is_judged_by_its_own_memory() -> None:
    answer = ask("8b", find_machine("rtx-3090"))
    assert answer.machine.usable_bytes < 24 * GIB
    speed = by_name(answer)["Q4_K_M"].decode_tokens_per_s
    assert speed
    assert 60 < speed.expected < 160  # published: 111.7 on two of them, in turn


def test_an_engine_made_for_other_gpus_is_not_offered() -> None:
    """ExLlamaV2 is CUDA code: it decodes on a GeForce, not on an Apple GPU."""
    assert by_name(ask("8b", find_machine("rtx-3090")))["EXL2-4.0bpw"].decode_tokens_per_s
    row = by_name(ask("8b", find_machine("apple-m4-max")))["EXL2-4.0bpw"]
    assert row.decode_tokens_per_s is None
    assert "this GPU" in row.notes[0]


def test_a_container_is_judged_by_its_limit() -> None:
    limited = replace(MACHINE, limit_bytes=8 * GIB)
    budget = budget_of(limited, Request())
    assert budget.memory_bytes == 8 * GIB
    assert budget.reserve_bytes < OS_MOST
    assert any("8.0 GiB" in note for note in budget.notes)


@given(st.integers(1, 1 << 42))
def test_least_memory_is_enough(total: int) -> None:
    machine = replace(MACHINE, ram_bytes=least_memory(total, Request()))
    assert budget_of(machine, Request()).usable_bytes >= total - 1


def test_the_reserve_can_be_said() -> None:
    assert budget_of(MACHINE, Request(reserve_bytes=0)).usable_bytes == 64 * GIB
    assert budget_of(MACHINE, Request(reserve_bytes=100 * GIB)).usable_bytes == 0


def test_unknown_memory_is_said_not_guessed() -> None:
    with pytest.raises(BadInput, match="unknown"):
        ask("8b", replace(MACHINE, ram_bytes=None))


def test_a_context_beyond_the_model_is_refused() -> None:
    with pytest.raises(BadInput, match="at most 4096"):
        ask("bitnet-2b", context=8192)


def test_engines_go_by_name() -> None:
    assert find_engine(engines(), "LLAMA.CPP") == "llama.cpp"
    with pytest.raises(UnknownName, match="steam"):
        find_engine(engines(), "steam")


def test_an_engine_runs_only_its_own_formats() -> None:
    rows = by_name(ask("bitnet-2b", engine="bitnet.cpp"))
    assert rows["I2_S"].decode_tokens_per_s
    assert rows["Q4_K_M"].decode_tokens_per_s is None
    assert "does not run" in rows["Q4_K_M"].notes[0]
