"""A model split within its matrices: what each card holds, by vLLM's rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.kv_cache import kv_bytes, kv_read_bytes
from fitcheck.footprint.memory import choices_of
from fitcheck.footprint.reads import read_groups
from fitcheck.footprint.shards import Sharded, indivisible, most_cards, shard_of, shard_of_file
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights, WeightGroup
from fitcheck.sources.catalog import load_model

NAMES = ("llama-3.1-70b", "qwen3-30b-a3b", "qwen3.6-35b-a3b", "gemma-3-27b", "deepseek-v2-lite", "glm-4-9b")
FORMATS = ("AWQ-4bit-g128", "GPTQ-4bit-g128", "INT8", "NVFP4-g16", "F16")
names, formats, counts = st.sampled_from(NAMES), st.sampled_from(FORMATS), st.sampled_from((2, 4, 8, 16))


@given(names, formats, counts)
@settings(deadline=None)
def test_a_card_holds_and_reads_no_less_than_its_part(name: str, form: str, cards: int) -> None:
    model = load_model(name)
    part, whole = shard_of(model, form, cards), shard_of(model, form, 1)
    assert whole.weights_bytes / cards <= part.weights_bytes <= whole.weights_bytes
    assert sum(g.bytes for g in whole.groups) / cards <= sum(g.bytes for g in part.groups)
    for one, all_of_it in zip(part.groups, whole.groups, strict=True):
        assert one.type == all_of_it.type
        assert all_of_it.weights / cards <= one.weights <= all_of_it.weights
        assert one.expert_bytes <= one.bytes


@given(names, formats)
@settings(deadline=None)
def test_one_card_holds_all_that_there_is(name: str, form: str) -> None:
    model, alone = load_model(name), shard_of(load_model(name), form, 1)
    assert alone.weights_bytes == weights_bytes(model, form)
    known = {group.type: group for group in read_groups(model, form)}
    for group in alone.groups:
        whole = known[group.type]
        assert (group.bytes, group.weights, group.matrices) == (whole.bytes, whole.weights, whole.matrices)
        assert group.expert_bytes == whole.expert_bytes


@given(names, counts, st.integers(1, 8192))
@settings(deadline=None)
def test_a_card_keeps_its_heads_of_the_cache_and_one_at_least(name: str, cards: int, depth: int) -> None:
    model = load_model(name)
    part, whole = (kv_read_bytes(model, depth, "f16", None, n) for n in (cards, 1))
    assert whole / cards <= part <= whole


def test_llama_70b_on_eight_cards_by_hand() -> None:
    """Hidden 8192, 64 heads and 8 KV heads of 128, 28672 rows, 80 layers, in 16 bits."""
    model = load_model("llama-3.1-70b")
    head, ffn, vocabulary = 2 * 8192 * 128, 3 * 8192 * 28672, 2 * 128256 * 8192
    matrices = 80 * (64 * head + 8 * head + ffn) + vocabulary
    norms = (80 * 2 + 1) * 8192
    rope = model.rope_freqs
    assert shard_of(model, "F16", 8).weights_bytes == pytest.approx(
        2 * matrices / 8 + 4 * (norms + rope), rel=1e-9
    )
    # from nine cards on, two of them hold the same KV head
    sixteen = 80 * (64 * head // 16 + head + ffn // 16) + vocabulary // 16
    assert shard_of(model, "F16", 16).weights_bytes == pytest.approx(
        2 * sixteen + 4 * (norms + rope), rel=1e-9
    )


def test_caches_are_dealt_out_by_heads() -> None:
    choices = choices_of(Request(flash_attention="on"))

    def kept(name: str, cards: int) -> int:
        parts = Sharded(load_model(name), shard_of(load_model(name), "F16", cards), 4096, choices)
        return sum(item.bytes for item in parts.items(("a", "b", "c", "d")) if item.what == "kv cache")

    eight_heads, one_row = load_model("llama-3.1-8b"), load_model("deepseek-v2-lite")
    assert kept("llama-3.1-8b", 4) == kv_bytes(eight_heads, 4096)
    assert kept("deepseek-v2-lite", 4) == 4 * kv_bytes(one_row, 4096)  # a latent row belongs to all heads


@pytest.mark.parametrize(
    ("name", "cards", "what"),
    [
        ("llama-3.1-70b", 3, "64 attention heads"),
        ("qwen2.5-0.5b", 4, "14 attention heads"),
        ("qwen2.5-7b", 8, "28 attention heads"),
        ("llama-3.1-70b", 8, None),
        ("llama-3.1-70b", 16, None),
        ("qwen3-30b-a3b", 8, None),  # 4 KV heads, each on two cards
    ],
)
def test_what_does_not_divide_is_named(name: str, cards: int, what: str | None) -> None:
    assert indivisible(load_model(name), cards) == what


@pytest.mark.parametrize(("name", "present", "used"), [("llama-3.1-70b", 3, 2), ("qwen2.5-7b", 8, 4)])
def test_as_many_cards_as_divide_it(name: str, present: int, used: int) -> None:
    assert most_cards(load_model(name), present) == used


def test_of_a_file_norms_lie_on_every_card() -> None:
    norms = WeightGroup("F16", "norm", 3, 300, 600, 300, 600)
    experts = WeightGroup("INT8", "experts", 6, 8001, 8001, 1001, 1001)
    part = shard_of_file(FileWeights("INT8", (norms, experts), 8601, 9000), 4)
    assert part.weights_bytes == 600 + 2001
    assert {group.type: (group.bytes, group.expert_bytes) for group in part.groups} == {
        "F16": (600, 0),
        "INT8": (251, 251),
    }
