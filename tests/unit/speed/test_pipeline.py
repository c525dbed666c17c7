"""Prompts over cards that hold layers in turn: the flow shop's laws, and what was published of some."""

from dataclasses import replace
from itertools import accumulate, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.footprint.residence import Spread
from fitcheck.footprint.stored import stored_as
from fitcheck.placement import spread_over
from fitcheck.planner import plan
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine
from fitcheck.speed.decode import Runner
from fitcheck.speed.pipeline import Pipeline, Stage
from fitcheck.speed.prefill import Prefiller

ENGINES = load_engines()
GPU = next(engine for engine in ENGINES if (engine.name, engine.device) == ("llama.cpp", "gpu"))
UBATCH = 512


def prefiller(model: str, form: str, machine: str) -> Prefiller:
    shape = load_model(model)
    return Prefiller(Runner(shape, find_machine(machine), GPU, Request()), stored_as(shape, form).groups)


def pipeline(whole: Prefiller, cards: int, queued: float = 22.0) -> Pipeline:
    layers = len(whole.runner.model.layers) + 1
    spread = spread_over(tuple(accumulate(repeat(1, cards))), layers, layers, 0)
    return Pipeline(tuple(Stage(whole, count) for count in spread.within), queued)


def seconds(asked: Prefiller | Pipeline, tokens: int, depth: int = 0) -> float:
    found = asked.seconds(tokens, depth)
    assert found is not None
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 3_000), st.integers(1, 8), st.floats(1.0, 1e6))
def test_more_takes_longer_and_no_card_is_idle_for_nothing(
    tokens: int, more: int, cards: int, queued: float
) -> None:
    """Between all in turn and all at once, which no flow shop beats."""
    whole = prefiller("llama-3-8b", "Q4_K_M", "rtx-4090")
    asked = pipeline(whole, cards, queued)
    taken = seconds(asked, tokens)
    assert taken < seconds(asked, tokens + more) * (1 + 1e-9)
    assert seconds(whole, tokens) / cards * (1 - 1e-9) <= taken <= seconds(whole, tokens) * (1 + 1e-9)


def test_one_micro_batch_passes_through_all_cards_in_turn() -> None:
    whole = prefiller("llama-3-8b", "F16", "rtx-4090")
    assert seconds(pipeline(whole, 4), UBATCH) == pytest.approx(seconds(whole, UBATCH))


def test_a_queue_without_end_makes_a_flow_shop() -> None:
    """80 layers and the output over four cards: one has 21. Attention makes the last micro-batch longest."""
    whole = prefiller("llama-3.1-70b", "Q4_K_M", "a100-pcie-80gb")
    taken, last = seconds(pipeline(whole, 4, 1e9), 8 * UBATCH), seconds(whole, UBATCH, 7 * UBATCH)
    share = 21 / 80
    assert taken == pytest.approx(share * seconds(whole, 8 * UBATCH) + (1 - share) * last, rel=1e-3)


def test_who_waits_for_the_queue_overlaps_less() -> None:
    whole = prefiller("llama-3.1-70b", "Q4_K_M", "rtx-6000-ada")
    times = [seconds(pipeline(whole, 4, queued), 4096) for queued in (1, 10, 22, 100)]
    assert times == sorted(times, reverse=True)
    assert times[0] > 1.5 * times[-1]


@pytest.mark.parametrize(
    ("machine", "cards", "form", "tokens", "published"),
    [
        # XiongjieDai/GPU-Benchmarks-on-LLM-Inference, Llama-3-8B: set no figure
        ("rtx-4090", 2, "Q4_K_M", 512, 7003.51),
        ("rtx-4090", 2, "F16", 8192, 8067.29),
        ("a40-pcie", 4, "Q4_K_M", 8192, 5742.84),
        ("a100-pcie-80gb", 4, "F16", 4096, 16025.11),
        ("rtx-5000-ada", 4, "Q4_K_M", 4096, 8004.94),
        ("rtx-3090", 6, "Q4_K_M", 8192, 7084.44),
    ],
)
def test_published_prompts_on_several_cards(
    machine: str, cards: int, form: str, tokens: int, published: float
) -> None:
    asked = pipeline(prefiller("llama-3-8b", form, machine), cards)
    assert tokens / seconds(asked, tokens) == pytest.approx(published, rel=0.06)


def test_layers_of_a_card_don_t_count_the_output() -> None:
    assert Spread(0, 0, (9, 17, 25, 33)).within == (9, 8, 8, 7)
    assert Spread(0, 0, (32, 33)).within == (32, 0)
    assert Spread(0, 0).within == ()


def test_a_plan_over_two_cards_says_how_fast_it_takes_in_a_prompt() -> None:
    """512 tokens go through both cards in turn; a context of 8192 overlaps."""
    one = find_machine("rtx-4090")
    two = replace(one, gpus=one.gpus * 2)
    asked = Request(formats=("F16",), context=8192, engine="llama.cpp")
    row = plan(load_model("qwen2.5-14b"), two, asked, ENGINES).plans[0]
    alone = prefiller("qwen2.5-14b", "F16", "rtx-4090")
    assert row.prefill_tokens_per_s == pytest.approx(alone.tokens_per_s())
    assert row.ttft_s == pytest.approx(seconds(pipeline(alone, 2), 8192), rel=0.02)
    assert row.ttft_s < 0.75 * seconds(alone, 8192)
