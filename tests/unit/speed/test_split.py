"""Several devices in turn: their times add."""

from dataclasses import replace

import pytest

from fitcheck.footprint.layers import by_layer, reads
from fitcheck.footprint.reads import read_groups
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import HANDOVER_S, Runner, SplitDecoder

ENGINES = {(engine.name, engine.device): engine for engine in load_engines()}
CPU, GPU = ENGINES["llama.cpp", "cpu"], ENGINES["llama.cpp", "gpu"]
CARD = Gpu("NVIDIA GeForce RTX 3090", 24 << 30, 936e9)
MACHINE = Machine(
    "a desktop", "test", 64 << 30, arch="x86_64", cores=8, simd=("avx2",),
    peak_bandwidth_bytes_per_s=89.6e9, gpus=(CARD,),
)  # fmt: skip
MODEL = load_model("llama-3.1-8b")
WEIGHTS = by_layer(MODEL, "Q4_K_M")


def whole(engine, depth=0):
    groups = read_groups(MODEL, "Q4_K_M")
    return Runner(MODEL, MACHINE, engine, Request()).decoder(groups).at(depth).tokens_per_s


def split(cut, depth=0, handovers=1):
    inside = range(cut), range(cut, 32)
    low = reads(WEIGHTS, inside[0], inside[0], WEIGHTS.table_reads)
    high = reads(WEIGHTS, range(cut, 33), range(cut, 33), WEIGHTS.output_reads)
    parts = (
        Runner(MODEL, MACHINE, CPU, Request(), inside[0]).decoder(low),
        Runner(MODEL, MACHINE, GPU, Request(), inside[1], CARD).decoder(high),
    )
    return SplitDecoder(parts, handovers).at(depth).tokens_per_s


def test_one_part_is_the_device_itself():
    groups = read_groups(MODEL, "Q4_K_M")
    alone = Runner(MODEL, MACHINE, CPU, Request()).decoder(groups)
    assert SplitDecoder((alone,), 0).at(1000) == alone.at(1000)
    spelled_out = replace(alone.runner, layers=range(32)).decoder(groups)
    assert spelled_out.at(1000) == alone.at(1000)


@pytest.mark.parametrize("depth", [0, 4096])
def test_half_the_layers_take_half_the_time_of_each(depth):
    """But for the output, a twelfth of the weights, which the card has to itself."""
    seconds = [1 / whole(engine, depth).expected for engine in (CPU, GPU)]
    assert 1 / split(16, depth).expected == pytest.approx(sum(seconds) / 2, rel=0.1)


def test_a_handover_costs_what_it_says():
    with_one, with_ninety = (1 / split(16, handovers=n).expected for n in (1, 91))
    assert with_ninety - with_one == pytest.approx(90 * HANDOVER_S)


def test_more_layers_on_the_faster_device_are_faster():
    speeds = [split(cut).expected for cut in (30, 20, 10, 1)]
    assert speeds == sorted(speeds)
    assert all(whole(CPU).limit <= split(cut).limit <= whole(GPU).limit for cut in (30, 20, 10, 1))
