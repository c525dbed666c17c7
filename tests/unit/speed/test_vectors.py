"""What lies between the products: the lengths of vectors, and what they add to a token."""

from dataclasses import replace

import pytest

from fitcheck.footprint.reads import read_groups
from fitcheck.schema.machine import KernelRate, Machine
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import Runner
from fitcheck.speed.vectors import numbers

MACHINE = Machine(
    name="test",
    source="made up",
    ram_bytes=None,
    threads=2,
    cores=2,
    bandwidth_bytes_per_s=36e9,
    simd=("avx512_vnni",),
    kernel_rates=(KernelRate("trit5", "avx512vbmi", 200e9, "measured"),),
)
OWN = next(engine for engine in load_engines() if engine.name == "fitcheck")


def test_a_dense_layer_has_its_hidden_and_its_inner_vector() -> None:
    model = load_model("llama-3.1-70b")
    assert numbers(model) == 80 * (8192 + 28672)
    assert numbers(model, range(3)) == 3 * (8192 + 28672)


def test_of_experts_only_those_count_that_a_token_meets() -> None:
    assert numbers(load_model("qwen3-30b-a3b")) == 48 * (2048 + 8 * 768)


def seconds(engine: object) -> float:
    model = load_model("llama-3.1-70b")
    runner = Runner(model, MACHINE, engine, Request())  # type: ignore[arg-type]
    return 1 / runner.decoder(read_groups(model, "trit5")).at(0).tokens_per_s.expected


def test_they_are_added_to_the_products() -> None:
    without = seconds(replace(OWN, overhead_s_per_number=0.0))
    added = OWN.overhead_s_per_number * 80 * (8192 + 28672)
    assert seconds(OWN) == pytest.approx(without + added, rel=1e-6)


def test_kernels_timed_on_the_machine_overlap_with_reading_as_the_engine_says() -> None:
    assert (
        seconds(replace(OWN, overlap=1.0))
        > seconds(replace(OWN, overlap=2.5))
        > seconds(replace(OWN, overlap=8.0))
    )
