"""Prefill: what must hold of every prompt, and what was published of some."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.footprint.stored import stored_as
from fitcheck.schema.machine import Machine, ReadBandwidth
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine
from fitcheck.speed.decode import Runner
from fitcheck.speed.prefill import Prefiller

ENGINES = {(engine.name, engine.device): engine for engine in load_engines()}
CPU, GPU = ENGINES["llama.cpp", "cpu"], ENGINES["llama.cpp", "gpu"]
HERE = Machine(
    name="here",
    source="test",
    ram_bytes=64 << 30,
    arch="x86_64",
    cores=1,
    threads=1,
    simd=("avx2", "avx512_vnni"),
    read_bandwidth=(ReadBandwidth(1, "4k", 28e9),),
)
FORMATS = ("F16", "Q8_0", "Q4_K_M", "TQ1_0")


def prefiller(model: str, form: str, machine: Machine = HERE, **asked: object) -> Prefiller:
    shape = load_model(model)
    engine = GPU if machine.gpus else CPU
    runner = Runner(shape, machine, engine, Request(**asked))  # type: ignore[arg-type]
    return Prefiller(runner, stored_as(shape, form).groups)


@settings(max_examples=40)
@given(st.sampled_from(FORMATS), st.integers(1, 20_000), st.integers(1, 5_000), st.integers(0, 20_000))
def test_more_to_do_takes_longer(form: str, tokens: int, more: int, depth: int) -> None:
    asked = prefiller("llama-3.2-1b", form)
    seconds = asked.seconds(tokens, depth)
    assert seconds is not None
    assert 0 < seconds < (asked.seconds(tokens + more, depth) or 0)
    assert seconds <= (asked.seconds(tokens, depth + more) or 0)


@pytest.mark.parametrize("form", FORMATS)
def test_arithmetic_binds_a_long_prompt_and_memory_a_short_one(form: str) -> None:
    """Twice the bandwidth hardly helps 512 tokens; one token waits for every weight."""
    fast = replace(HERE, read_bandwidth=(ReadBandwidth(1, "4k", 56e9),))
    here, there = prefiller("llama-3.2-1b", form), prefiller("llama-3.2-1b", form, fast)
    assert (here.seconds(512) or 0) / (there.seconds(512) or 1) < 1.02
    reads = sum(group.prompt_bytes for group in here.groups) / 28e9
    assert (here.seconds(1) or 0) > reads


def test_cores_share_the_work() -> None:
    two = replace(HERE, cores=2, threads=2, read_bandwidth=(ReadBandwidth(2, "4k", 56e9),))
    one, both = prefiller("llama-3.2-1b", "Q4_K_M"), prefiller("llama-3.2-1b", "Q4_K_M", two)
    assert (one.seconds(512) or 0) / (both.seconds(512) or 1) == pytest.approx(2, rel=0.02)
    assert prefiller("llama-3.2-1b", "Q4_K_M", two, threads=1).tokens_per_s() == pytest.approx(
        one.tokens_per_s(), rel=0.05
    )


def test_output_and_embeddings_are_not_paid_for_each_token() -> None:
    """Llama-3.2-1B: 16 layers of 60.8e6 weights; a quarter as much again stands in the output."""
    groups = prefiller("llama-3.2-1b", "F16").groups
    layers = 16 * (2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 2048 * 8192)
    assert sum(group.prompt_weights for group in groups) == pytest.approx(layers, rel=1e-3)


def test_a_prompt_reads_all_experts_and_multiplies_by_the_active() -> None:
    moe = load_model("qwen3-30b-a3b")
    groups = stored_as(moe, "Q8_0").groups
    assert sum(group.prompt_bytes for group in groups) > 5 * sum(group.bytes for group in groups)
    assert sum(group.prompt_weights for group in groups) < sum(group.weights for group in groups)


@pytest.mark.parametrize(
    ("machine", "form", "published"),
    [
        # XiongjieDai/GPU-Benchmarks-on-LLM-Inference, Llama-3-8B, 4096 tokens: not fitted
        ("rtx-4090", "Q4_K_M", 5265.68),
        ("rtx-4090", "F16", 6531.36),
        ("a40-pcie", "Q4_K_M", 2586.5),
        ("rtx-3080-ti", "Q4_K_M", 2947.11),
        ("apple-m2-ultra", "Q4_K_M", 979.47),
    ],
)
def test_published_prompts_that_were_not_fitted(machine: str, form: str, published: float) -> None:
    seconds = prefiller("llama-3-8b", form, find_machine(machine)).seconds(4096)
    assert seconds is not None
    assert 4096 / seconds == pytest.approx(published, rel=0.10)


def test_what_was_never_measured_is_unknown() -> None:
    assert prefiller("llama-3.2-1b", "Q4_K_M", replace(HERE, simd=("neon",))).seconds(512) is None
    assert prefiller("llama-3.2-1b", "IQ2_XS").seconds(512) is None
    assert prefiller("nemotron-h-8b", "Q4_K_M").seconds(512) is None  # a recurrent scan
    assert prefiller("llama-3-8b", "F16", find_machine("rtx-3070")).seconds(512) is None
    assert prefiller("llama-3-8b", "Q4_K_M", find_machine("rtx-3070-ti")).seconds(512) is None  # another card
    assert prefiller("llama-3-8b", "Q4_K_M", find_machine("apple-m5-max")).seconds(512) is None
    known = prefiller("llama-3.2-1b", "Q4_K_M")
    elsewhere = replace(known.runner, engine=ENGINES["vllm", "gpu"])
    assert Prefiller(elsewhere, known.groups).tokens_per_s() is None


def test_flash_attention_changes_the_attention_alone() -> None:
    on = prefiller("llama-3.2-1b", "Q8_0", flash_attention="on").seconds(512, 4096)
    off = prefiller("llama-3.2-1b", "Q8_0", flash_attention="off").seconds(512, 4096)
    auto = prefiller("llama-3.2-1b", "Q8_0").seconds(512, 4096)
    assert on == auto
    assert on != off


@pytest.mark.parametrize(
    ("machine", "threads", "model", "form", "published"),
    [
        # geerlingguy/ai-benchmarks issue 51, a Cix CP8180: no figure was set from it
        ("orion-o6", 12, "llama-3.2-3b", "Q4_K_M", 81.27),
        # ggml-org/llama.cpp pull request 19360, built for dot products alone
        ("apple-m4-max", 8, "qwen3-8b", "Q6_K", 94.76),
    ],
)
def test_published_prompts_on_arm(
    machine: str, threads: int, model: str, form: str, published: float
) -> None:
    cores = replace(find_machine(machine), gpus=())
    found = prefiller(model, form, cores, threads=threads).tokens_per_s()
    assert found == pytest.approx(published, rel=0.10)


def test_a_gpu_that_nobody_timed_goes_by_its_lanes() -> None:
    """An M3 Pro has 18 of an M3 Max's 40 cores, at the same clock."""
    pro, most = (
        prefiller("llama-3-8b", "Q4_K_M", find_machine(f"apple-m3-{name}")) for name in ("pro", "max")
    )
    assert (most.tokens_per_s() or 0) * 18 / 40 == pytest.approx(pro.tokens_per_s(), rel=0.02)
