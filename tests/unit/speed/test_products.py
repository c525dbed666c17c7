"""Several tokens times the same weights on a CPU: figures by hand."""

from dataclasses import replace

import pytest

from fitcheck.footprint.reads import read_groups
from fitcheck.schema.engine import TypeRate
from fitcheck.schema.machine import Machine
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.device import Device
from fitcheck.speed.loads import loads
from fitcheck.speed.products import Code, Matrices, Products

MET = Matrices(bytes=8.0, weights=10.0, rows=2.0)
ONE_BY_ONE = Products(alone=10.0, again=20.0)
TILES = Code(TypeRate("Q6_K", "avx512", 100.0, since=8, block=16, half_at=4, experts=True), 2.0)
LLAMA = next(e for e in load_engines() if (e.name, e.device) == ("llama.cpp", "cpu"))
TWO_CORES = Machine(
    "here", "test", None, arch="x86_64", cores=2, simd=("avx2", "avx512_vnni"), bandwidth_bytes_per_s=4e10
)


def test_further_tokens_find_their_weights_in_the_cache() -> None:
    """1 s of reading beside 1 s of products, and half a second for each token more."""
    seconds = [ONE_BY_ONE.load(MET, tokens, 8.0).seconds(8.0) for tokens in (1, 2, 5)]
    assert seconds == pytest.approx([2**0.25, 2**0.25 + 0.5, 2**0.25 + 2.0])


def test_cores_that_take_rows_in_turn_wait_for_each_no_longer_than_another_core_helps() -> None:
    waits = [ONE_BY_ONE._replace(turn_s=turn).load(MET, 2, 8.0).waiting_s for turn in (0.1, 9.0)]
    assert waits == [pytest.approx(0.2), 0.5]
    assert ONE_BY_ONE._replace(turn_s=0.1).load(MET, 1, 8.0).waiting_s == 0


def test_code_for_many_fills_whole_tiles() -> None:
    """16 tokens and 4 for unpacking, at 200 weights a second; of 17 tokens a second tile."""
    by = ONE_BY_ONE._replace(codes=(TILES,))
    assert [by.load(MET, tokens, 1e9).seconds(1e9) for tokens in (8, 16, 17)] == pytest.approx(
        [1.0, 1.0, 1.8]
    )


def test_rows_that_long_pieces_don_t_make_up_wait_for_each_short_one() -> None:
    """Half of ten weights, 0.4 s of a core each, on two: one second more, however many tokens."""
    by = ONE_BY_ONE._replace(codes=(TILES._replace(of_core=replace(TILES.of_core, odd_s=0.4)),))
    seconds = [by.load(MET._replace(odd=5.0), tokens, 1e9).seconds(1e9) for tokens in (8, 16, 17)]
    assert seconds == pytest.approx([2.0, 2.0, 2.8])


def test_feed_forward_blocks_of_8960_have_such_rows() -> None:
    """Qwen2.5-1.5B: the way back to 1536 = 2 x 768 from 8960 = 35 x 256; Llama's 8192 = 16 x 512 has none."""
    qwen, llama = (read_groups(load_model(name), "Q6_K") for name in ("qwen2.5-1.5b", "llama-3.2-1b"))
    assert sum(group.odd_weights for group in qwen if group.type == "Q6_K") == 28 * 8960 * 1536
    assert not any(group.odd_weights for group in llama if group.type == "Q6_K")


def test_no_pass_costs_more_than_a_larger_one() -> None:
    """Slow one by one, quick from eight on: seven tokens are no dearer than eight."""
    slow = Products(alone=1.0, again=1.0, codes=(TILES._replace(power=0.02),))
    seconds = [slow.load(MET, tokens, 8.0).seconds(8.0) for tokens in (2, 6, 7, 8)]
    assert seconds == sorted(seconds)
    assert ONE_BY_ONE._replace(again=2.0, codes=(TILES,)).load(MET, 7, 1e9).seconds(1e9) == pytest.approx(1.0)


def test_a_pass_takes_no_less_than_one_of_its_tokens() -> None:
    quick = Products(alone=10.0, again=20.0, codes=(TILES._replace(power=1e6),))
    assert quick.load(MET, 16, 1e9).seconds(1e9) == pytest.approx(1.0)


def test_experts_know_only_the_code_that_knows_them() -> None:
    fours = Code(TypeRate("Q4_K", "avx512", 50.0, since=4), 2.0)
    assert Products(1.0, 1.0, codes=(fours, TILES)).of_experts.codes == (TILES,)


def test_a_rate_of_prompts_alone_says_nothing_of_few_tokens() -> None:
    prompts = Code(TypeRate("TQ1_0", "avx512", 1e9), 1.0)
    assert ONE_BY_ONE._replace(codes=(prompts,)).load(MET, 4, 8.0) == ONE_BY_ONE.load(MET, 4, 8.0)


def test_experts_are_read_once_and_multiplied_for_each_token_they_got() -> None:
    """32 experts, 4 a token: eight tokens meet 21 of 32, one and a half tokens each."""
    model = load_model("dummy-moe-2b")
    group = next(group for group in read_groups(model, "Q8_0") if group.expert_bytes)
    met = 32 * (1 - (28 / 32) ** 8) / 4
    _, experts = loads(group, model, Device(TWO_CORES, LLAMA, Request(batch=8)))
    assert experts.bytes == pytest.approx(group.expert_bytes * met)
    routed = group.weights * group.expert_bytes / group.bytes
    core = next(rate for rate in LLAMA.rates if (rate.type, rate.isa) == ("Q8_0", "avx512"))
    assert experts.cached_s == pytest.approx((8 - met) * routed / (2 * core.weights_per_s))


@pytest.mark.parametrize(
    ("name", "tokens", "ms"),
    [  # of 10^9 weights on one core, b11434: matrices of 2048 x 8192, the quickest of five rounds
        ("F16", 2, 132), ("F16", 8, 242), ("F16", 16, 382),
        ("Q8_0", 2, 120), ("Q8_0", 4, 139), ("Q8_0", 8, 205), ("Q8_0", 16, 346),
        ("Q4_K", 2, 50), ("Q4_K", 3, 75), ("Q4_K", 4, 96), ("Q4_K", 8, 187), ("Q4_K", 16, 221),
        ("Q2_K", 3, 70), ("Q2_K", 4, 123), ("Q2_K", 16, 383),
        ("Q6_K", 4, 137), ("Q6_K", 8, 414), ("Q6_K", 16, 422),
        ("IQ4_XS", 3, 133), ("IQ4_XS", 8, 211), ("IQ4_XS", 16, 218),
        ("TQ2_0", 2, 35), ("TQ2_0", 8, 148), ("TQ1_0", 4, 140), ("TQ1_0", 16, 558),
    ],
)  # fmt: skip
def test_products_timed_alone(name: str, tokens: int, ms: float) -> None:
    device = Device(TWO_CORES, LLAMA, Request(threads=1, batch=tokens))
    bits = {"F16": 16, "Q8_0": 8.5, "Q4_K": 4.5, "Q2_K": 2.625, "Q6_K": 6.5625, "IQ4_XS": 4.25}
    bits |= {"TQ2_0": 2.0625, "TQ1_0": 1.6875}
    met = Matrices(1e9 * bits[name] / 8, 1e9, 1e9 / 2048)
    load = device.products(name).load(met, tokens, 22e9)
    assert 1000 * load.seconds(22e9) == pytest.approx(ms, rel=0.2)
