"""What experts cost beside their weights."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.reads import read_groups
from fitcheck.schema.engine import Routing
from fitcheck.schema.machine import Machine, ReadBandwidth
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import Runner
from fitcheck.speed.routing import Cores, routing_s

KNOWN = Routing(layer_s=5e-6, matrix_s=2e-6, sum_s=4e-9)
ONE = Cores(1, 1.0)
MIXTURE = load_model("qwen3-30b-a3b")  # 48 layers, 8 of 128 experts, hidden 2048
LLAMA = next(engine for engine in load_engines() if (engine.name, engine.device) == ("llama.cpp", "cpu"))
HERE = Machine("test", "test", ram_bytes=None, arch="x86_64", cores=2, simd=("avx512_vnni",),
               read_bandwidth=(ReadBandwidth(2, "4k", 30e9),))  # fmt: skip


def test_one_token_by_hand() -> None:
    by_hand = 48 * (5e-6 + 8 * 3 * 2e-6 + 8 * 2048 * 4e-9)
    assert routing_s(MIXTURE, KNOWN, ONE) == pytest.approx(by_hand)


def test_cores_share_the_sums_alone() -> None:
    alone, shared = (routing_s(MIXTURE, KNOWN, cores) for cores in (ONE, Cores(2, 0.5)))
    assert alone == pytest.approx(shared)
    faster = routing_s(MIXTURE, KNOWN, Cores(2, 1.0))
    assert alone - faster == pytest.approx(48 * 8 * 2048 * 4e-9 / 2)


def test_dense_models_have_none() -> None:
    assert routing_s(load_model("llama-3.2-1b"), KNOWN, ONE) == 0.0


@given(st.integers(0, 48))
def test_layers_on_two_devices_add_up(cut: int) -> None:
    parts = (range(cut), range(cut, 48))
    found = sum(routing_s(MIXTURE, KNOWN, ONE, layers) for layers in parts)
    assert found == pytest.approx(routing_s(MIXTURE, KNOWN, ONE))


def seconds(model: Model, routing: Routing | None) -> float:
    engine = replace(LLAMA, routing=routing)
    runner = Runner(model, HERE, engine, Request(threads=2))
    return 1 / runner.decoder(read_groups(model, "Q4_K_M")).at(0).tokens_per_s.expected


def test_a_token_takes_so_much_longer() -> None:
    more = seconds(MIXTURE, KNOWN) - seconds(MIXTURE, None)
    assert more == pytest.approx(routing_s(MIXTURE, KNOWN, Cores(2, 1.0)))


def test_llama_cpp_was_measured() -> None:
    """A quarter of what qwen3-30b-a3b's experts take to read at 30 GB/s, at most."""
    assert LLAMA.routing is not None
    reading_s = sum(group.expert_bytes for group in read_groups(MIXTURE, "Q4_K_M")) / 30e9
    assert 0 < routing_s(MIXTURE, LLAMA.routing, ONE) < reading_s / 4
