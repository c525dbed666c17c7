"""Cards that share every layer: the slowest one's part, and the sums between them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.footprint.shards import shard_of
from fitcheck.schema.engine import Link
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.plan import TokenRate
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import Runner
from fitcheck.speed.engines import link_of
from fitcheck.speed.parallel import ParallelDecoder, sum_s, sums

ENGINES = load_engines()
VLLM = next(engine for engine in ENGINES if engine.name == "vllm")
CARD = Gpu("NVIDIA GeForce RTX 3090", 24 << 30, 936e9)
NAMES = ("llama-3.1-8b", "llama-3.1-70b", "qwen3-30b-a3b", "qwen3.6-35b-a3b", "gemma-3-27b")
names, counts = st.sampled_from(NAMES), st.sampled_from((2, 4, 8))
depths = st.integers(0, 32768)


def speed(
    name: str, cards: int, depth: int = 0, gpu: Gpu = CARD, link: Link | None = None, **asked: int
) -> TokenRate:
    model, form = load_model(name), "AWQ-4bit-g128"
    engine = replace(VLLM, links=(link,)) if link else VLLM
    machine = Machine("host", "test", 64 << 30, gpus=(gpu,) * cards)
    runner = Runner(model, machine, engine, Request(**asked), gpu=gpu, cards=cards)  # type: ignore[arg-type]
    return ParallelDecoder(runner, shard_of(model, form, cards)).at(depth).tokens_per_s


@given(names, counts, depths, st.integers(1, 16))
@settings(deadline=None)
def test_n_cards_are_never_more_than_n_times_as_fast(name: str, cards: int, depth: int, batch: int) -> None:
    alone, together = (speed(name, n, depth, batch=batch) for n in (1, cards))
    assert together.expected <= cards * alone.expected * (1 + 1e-9)
    assert together.limit <= cards * alone.limit * (1 + 1e-9)
    assert together.low <= together.expected <= together.high <= together.limit


@given(names, counts, depths)
@settings(deadline=None)
def test_more_context_is_never_faster(name: str, cards: int, depth: int) -> None:
    assert speed(name, cards, depth).expected >= speed(name, cards, depth + 1000).expected


def test_large_models_gain_and_small_ones_lose_by_slow_sums() -> None:
    """30 and 46 tokens/s of a 70B model on two and four RTX 3090 Ti: vllm-project/vllm issue 6955."""
    two, four = (speed("llama-3.1-70b", n).expected for n in (2, 4))
    assert four / two == pytest.approx(46 / 30, rel=0.1)
    assert speed("qwen3-30b-a3b", 8).expected < speed("qwen3-30b-a3b", 1).expected


def test_a_layer_takes_two_sums() -> None:
    assert sums(load_model("llama-3.1-8b")) == 2 * 32 + 2
    nemotron = load_model("nemotron-h-8b")  # one part a layer
    assert sums(nemotron) == len(nemotron.layers) + 2


def test_the_time_of_all_sums_is_what_cards_wait() -> None:
    free = Link("none", (), 0.0, 0.0, 1e30, "test")
    slow = Link("slow", (), 1e-4, 0.0, 1e30, "test")
    with_sums, without = (1 / speed("llama-3.1-8b", 2, link=link).expected for link in (slow, free))
    assert with_sums - without == pytest.approx(66e-4)


def test_a_sum_grows_with_cards_and_bytes() -> None:
    link = Link("test", (), 1e-5, 1e-6, 1e9, "test")
    assert sum_s(link, 2, 0) == pytest.approx(1.2e-5)
    assert sum_s(link, 8, 0) == pytest.approx(2.4e-5)
    assert sum_s(link, 4, 1000) == pytest.approx(1.6e-5 + 1.5e-6)  # 2 x 3/4 of the bytes


@pytest.mark.parametrize(
    ("name", "link", "asked", "measured_us"),
    [
        ("NVIDIA H100 SXM5 80 GB", "NVLink", (2, 4096), 8.8),  # sgl-project/sglang pull request 2904
        ("NVIDIA H100 SXM5 80 GB", "NVLink", (8, 32768), 11.8),
        ("NVIDIA H100 SXM5 80 GB", "NVLink", (8, 1 << 20), 45.0),
        ("AMD Instinct MI300X", "Infinity Fabric", (8, 24 << 10), 6.3),  # MI355X, vllm pull request 39080
        ("NVIDIA GeForce RTX 3090", "PCIe", (8, 8), 54.2),  # NVIDIA/nccl issue 1439
    ],
)
def test_links_beside_what_was_measured(
    name: str, link: str, asked: tuple[int, int], measured_us: float
) -> None:
    found = link_of(VLLM, name)
    assert found.name == link
    assert sum_s(found, *asked) * 1e6 == pytest.approx(measured_us, rel=0.15)


def test_an_engine_that_splits_matrices_knows_what_lies_between_any_cards() -> None:
    for engine in ENGINES:
        if engine.device == "gpu" and engine.memory.several_cards == "tensors":
            assert link_of(engine, "a card that nobody made").source
            assert all(link.source for link in engine.links)
