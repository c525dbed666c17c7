"""The pieces of the speed model, each against a figure worked out by hand."""

from dataclasses import replace

import pytest

from fitcheck.footprint.formats import WEIGHT_TYPES
from fitcheck.footprint.reads import ReadGroup
from fitcheck.schema.engine import AttentionRate, Engine
from fitcheck.schema.machine import Gpu, KernelRate, Machine, ReadBandwidth
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.profiles import profile_path, read_toml, stems
from fitcheck.speed.attention import Attending, Heads, Walk, attention_s, cell_s
from fitcheck.speed.bandwidth import gpu_bandwidth, read_bandwidth
from fitcheck.speed.decode import Runner
from fitcheck.speed.device import Device
from fitcheck.speed.engines import (
    CoreRate,
    attention_rate,
    core_rates,
    core_speed,
    gpu_rate,
    gpu_share,
    isa_of,
    residual,
)
from fitcheck.speed.loads import loads
from fitcheck.speed.roofline import Load, soft_max, step

ENGINES = {(engine.name, engine.device): engine for engine in load_engines()}
LLAMA = ENGINES["llama.cpp", "cpu"]
BARE = Machine("bare", "a test", 16 << 30)


def rate_of(engine: Engine, weight_type: str, isa: str) -> float:
    return next(r.weights_per_s for r in engine.rates if (r.type, r.isa) == (weight_type, isa))


def test_equal_times_overlap_to_the_fourth_root_of_two() -> None:
    assert soft_max(1.0, 1.0) == pytest.approx(2**0.25)
    assert soft_max(0.0, 0.0) == 0.0
    assert soft_max(3.0, 0.0) == soft_max(0.0, 3.0) == 3.0


@pytest.mark.parametrize(("one", "other"), [(1.0, 1.0), (3.0, 1.0), (0.5, 40.0)])
def test_overlap_goes_from_one_after_the_other_to_the_longer_only(one: float, other: float) -> None:
    assert soft_max(one, other, overlap=1) == pytest.approx(one + other)
    assert soft_max(one, other, overlap=100) == pytest.approx(max(one, other), rel=0.01)
    times = [soft_max(one, other, overlap) for overlap in (1, 1.5, 2, 2.5, 4, 8)]
    assert times == sorted(times, reverse=True)


def test_a_type_brings_its_own_overlap() -> None:
    """Reading and multiplying equally long: Q5_0 takes 2^(1/2), Q8_0 2^(1/4) times as long as either."""
    machine = replace(BARE, cores=1, simd=("avx512_vnni",), core_speed=1.0)
    model = load_model("llama-3.2-1b")
    runner = Runner(model, machine, LLAMA, Request(threads=1))
    for weight_type, times in (("Q5_0", 2**0.5), ("Q8_0", 2**0.25)):
        weights = 10**9
        reading = runner.reading.bytes_per_s / rate_of(LLAMA, weight_type, "avx512")
        group = ReadGroup(weight_type, int(weights * reading), weights, matrices=1)
        (load,) = loads(group, model, runner.device)
        cost = step((load,), runner.reading.bytes_per_s)
        alone = weights / rate_of(LLAMA, weight_type, "avx512")
        assert cost.seconds == pytest.approx(times * alone, rel=1e-6)


def test_a_type_of_which_nothing_is_read_costs_nothing_on_a_card() -> None:
    """Prediction layers may hold a type of their own, which no decode step reads."""
    card = Gpu("card", 8 << 30, 448e9, lane_ops_per_s=1e12)
    machine = replace(BARE, gpus=(card,))
    device = Device(machine, ENGINES["llama.cpp", "gpu"], Request(batch=4))
    (load,) = loads(ReadGroup("F16", 0, 0, matrices=0), load_model("llama-3.2-1b"), device)
    assert load.seconds(device.bytes_per_s) == 0.0


def test_a_step_books_each_group_on_its_slower_side() -> None:
    memory_bound = Load(bytes=10, weights=1, weights_per_s=10.0)
    compute_bound = Load(bytes=1, weights=10, weights_per_s=1.0)
    cost = step((memory_bound, compute_bound), bytes_per_s=1.0, attention_s=2.0, overhead_s=3.0)
    assert cost.memory_s == pytest.approx(10.0, rel=1e-6)
    assert cost.compute_s == pytest.approx(10.0, rel=1e-3)
    assert cost.seconds == cost.memory_s + cost.compute_s + 5.0
    assert cost.bound == "compute"  # attention is arithmetic too


def products(model: Model, depth: int, padding: int = 1, skips_masked: bool = False) -> float:
    """What a core that does one product a second has to do for a token."""
    rate = AttentionRate("f16", flash_attention=True, products_per_s=1.0, skips_masked=skips_masked)
    return attention_s(model, depth, Attending(rate, padding, "f16"))


def test_every_query_head_meets_the_cache() -> None:
    """16 layers x 32 heads x (64 of the key + 64 of the value) a cell."""
    model = load_model("llama-3.2-1b")
    assert products(model, 1000) == 1000 * 16 * 32 * 128
    assert products(model, 0) == 0


def test_padded_attention_runs_over_whole_blocks_from_the_first_token() -> None:
    model = load_model("llama-3.2-1b")
    assert products(model, 0, 256) == products(model, 255, 256) == products(model, 256)
    assert products(model, 256, 256) == products(model, 512)


def test_flash_attention_skips_masked_cells() -> None:
    """ggml passes over a cell whose mask is minus infinity: the token's own cell is all there is at first."""
    model = load_model("llama-3.2-1b")
    assert products(model, 0, 256, skips_masked=True) == products(model, 1)
    assert products(model, 300, 256, skips_masked=True) == products(model, 301)


@pytest.mark.parametrize(
    ("seen", "cores", "cells"),
    [(100, 2, 101), (300, 1, 301), (300, 2, 512), (2048, 2, 2304), (600, 2, 768), (2048, 64, 2304)],
)
def test_threads_that_share_cells_wait_for_the_one_with_the_most(seen: int, cores: int, cells: int) -> None:
    """300 tokens of 512 padded cells: the first of two threads has 256 of the 301, as long as 512 for two."""
    assert Walk(256, skips_masked=True, shares_cells_from=512, cores=cores).cells(seen) == cells


def test_a_core_beside_others_does_its_share_of_what_it_does_alone() -> None:
    rate = CoreRate(10e9, "profile", 0.9)
    assert (rate.of(1), rate.of(2), rate.of(8)) == (10e9, 18e9, 72e9)


def test_windowed_layers_look_back_no_further() -> None:
    """Gemma 3 4B: 29 of 34 layers see 1024 tokens; 8 heads of 256."""
    model = load_model("gemma-3-4b")
    assert products(model, 5000) == (5 * 5000 + 29 * 1024) * 8 * 512


def test_recurrent_layers_attend_to_nothing() -> None:
    """Nemotron-H 8B: 4 of its 52 layers attend, with 32 heads of 128."""
    assert products(load_model("nemotron-h-8b"), 1000) == 1000 * 4 * 32 * 256


@pytest.mark.parametrize(
    ("features", "isa"),
    [
        (("avx2", "fma", "avx512_vnni"), "avx512"),
        (("avx2", "fma"), "avx2"),
        (("neon", "dotprod", "i8mm"), "neon_dotprod"),
        (("neon",), "neon"),
        ((), None),
    ],
)
def test_the_widest_kernels_are_taken(features: tuple[str, ...], isa: str | None) -> None:
    assert isa_of(replace(BARE, simd=features)) == isa


def test_a_rate_of_the_same_isa_counts_as_profile() -> None:
    found = core_rates(LLAMA, replace(BARE, simd=("avx2",), core_speed=1.2))["Q4_K"]
    assert found.basis == "profile"
    assert found.weights_per_s == pytest.approx(1.2 * rate_of(LLAMA, "Q4_K", "avx2"))


def test_a_core_of_unknown_speed_is_assumed_to_be_a_usual_one() -> None:
    x86, arm = (core_rates(LLAMA, replace(BARE, simd=(isa,)))["Q4_K"] for isa in ("avx2", "dotprod"))
    assert x86.basis == "assumed" and x86.weights_per_s == rate_of(LLAMA, "Q4_K", "avx2")
    assert arm.basis == "assumed" and arm.weights_per_s < rate_of(LLAMA, "Q4_K", "neon_dotprod")


def test_a_gpu_multiplies_as_its_lanes_and_their_cost_say() -> None:
    engine = ENGINES["llama.cpp", "gpu"]
    cost = next(cost for cost in engine.lane_costs if "Q4_K" in cost.types)
    card = Gpu("card", 8 << 30, 448e9, lane_ops_per_s=1e12)
    assert gpu_rate(engine, card, "Q4_K") == pytest.approx(1e12 / cost.per_weight)
    assert gpu_rate(engine, card, "F16") is None
    assert gpu_rate(engine, Gpu("card", 8 << 30, 448e9), "Q4_K") is None


def test_a_rate_of_another_isa_is_assumed_and_slower_on_small_cores() -> None:
    found = core_rates(LLAMA, replace(BARE, simd=("neon",)))["Q4_K"]
    assert found.basis == "assumed"
    assert found.weights_per_s < 0.1 * rate_of(LLAMA, "Q4_K", "avx2")


def test_own_kernels_are_the_yardstick_of_a_core() -> None:
    """Twice the rate of fitcheck's kernel on this core: the engine's dots run twice as fast."""
    known = next(rate for rate in LLAMA.reference if rate.isa == "avx2")
    here = KernelRate(known.type, known.isa, 2 * known.weights_per_s, "measured")
    machine = replace(BARE, simd=("avx2",), kernel_rates=(here,))
    assert core_speed(LLAMA, machine) == pytest.approx(2.0)
    found = core_rates(LLAMA, machine)["Q6_K"]
    assert found.weights_per_s == pytest.approx(2 * rate_of(LLAMA, "Q6_K", "avx2"))


def test_a_rate_measured_here_is_fitchecks_own() -> None:
    """The first of them, and nobody else's."""
    measured, later = (KernelRate("trit5", "avx2", rate, "measured") for rate in (5e10, 4e10))
    machine = replace(BARE, simd=("avx2",), kernel_rates=(measured, later))
    assert "trit5" not in core_rates(LLAMA, machine)
    found = core_rates(ENGINES["fitcheck", "cpu"], machine)["trit5"]
    assert (found.weights_per_s, found.basis) == (5e10, "measured")


def test_table_kernels_of_which_no_run_tells_are_set_beside_i2_s() -> None:
    """TL2 by both kernels' rates from the cache, in 10⁹ weights a second; TL1's was never measured."""
    engine = ENGINES["bitnet.cpp", "cpu"]
    assert rate_of(engine, "TL2", "avx2") == pytest.approx(
        62.1 / 110 * rate_of(engine, "I2_S", "avx2"), rel=0.01
    )
    assert rate_of(engine, "TL1", "neon_dotprod") == rate_of(engine, "I2_S", "neon_dotprod")


def test_a_type_without_a_rate_is_left_to_memory() -> None:
    assert "EXL2-head" not in core_rates(LLAMA, replace(BARE, simd=("avx2",)))


@pytest.mark.parametrize(
    ("gpu", "special"),
    [
        ("NVIDIA GeForce RTX 4090", False),
        ("NVIDIA RTX A1000", False),  # no A100
        ("NVIDIA A100-SXM4-80GB", True),
        ("AMD Radeon Instinct MI50", True),
        ("Apple M4 GPU", True),
        ("Radeon 8060S", True),
    ],
)
def test_families_of_gpus_are_told_by_whole_words(gpu: str, special: bool) -> None:
    engine = ENGINES["llama.cpp", "gpu"]
    share = gpu_share(engine, gpu)
    usual = (engine.read_efficiency, engine.overhead_s_per_layer)
    assert ((share.read_efficiency, share.overhead_s_per_layer) != usual) is special


def test_the_first_family_that_fits_counts() -> None:
    engine = ENGINES["llama.cpp", "gpu"]
    both = replace(engine, families=(engine.families[0], replace(engine.families[1], words=("a100",))))
    assert gpu_share(both, "NVIDIA A100") == gpu_share(engine, "NVIDIA A100")


def test_one_core_cannot_draw_a_servers_memory() -> None:
    server = replace(BARE, arch="x86_64", cores=64, peak_bandwidth_bytes_per_s=460.8e9)
    assert read_bandwidth(server, 1, "huge").bytes_per_s < 60e9
    assert read_bandwidth(server, None, "huge").bytes_per_s == pytest.approx(0.8 * 460.8e9)


def test_a_measured_machine_reads_as_its_pages_and_threads_did() -> None:
    rows = (
        ReadBandwidth(1, "huge", 30e9),
        ReadBandwidth(2, "huge", 50e9, 55e9),
        ReadBandwidth(2, "4k", 45e9),
    )
    machine = replace(BARE, read_bandwidth=rows)
    assert read_bandwidth(machine, 2, "4k").bytes_per_s == 45e9
    assert read_bandwidth(machine, 1, "huge").bytes_per_s == 30e9
    assert read_bandwidth(machine, 2, "huge").limit_bytes_per_s == 55e9
    assert read_bandwidth(machine, None, "huge").basis == "measured"


def test_a_bandwidth_given_by_hand_is_taken_as_it_is() -> None:
    machine = replace(BARE, bandwidth_bytes_per_s=60e9, overrides=("bandwidth",))
    card = Gpu("card", 8 << 30, 900e9)
    alone = replace(machine, ram_bytes=None)
    for found in (read_bandwidth(machine, 1, "4k"), gpu_bandwidth(alone, card)):
        assert (found.bytes_per_s, found.limit_bytes_per_s) == (60e9, 60e9)
    assert gpu_bandwidth(machine, card).bytes_per_s == 900e9  # what was typed is the RAM's


def test_a_card_of_unknown_bandwidth_is_assumed() -> None:
    assert gpu_bandwidth(BARE, Gpu("card", 8 << 30)).basis == "assumed"
    assert gpu_bandwidth(BARE, Gpu("card", 8 << 30, 448e9)).basis == "spec"


def test_an_unknown_basis_gets_the_widest_spread() -> None:
    engine = replace(LLAMA, residuals=tuple(r for r in LLAMA.residuals if r.basis != "assumed"))
    assert residual(engine, "assumed").low == min(r.low for r in engine.residuals)


@pytest.mark.parametrize("stem", stems("engines"))
def test_every_figure_of_a_profile_has_its_source(stem: str) -> None:
    profile = read_toml(profile_path("engines", stem))
    for device in ("cpu", "gpu"):
        part = profile.get(device)
        if part is None:
            continue
        lists = [
            value
            for name, value in part.items()
            if isinstance(value, list) and name not in ("vendors", "fitted")
        ]
        rows = [row for table in lists for row in table]
        assert all(len(row["source"]) > 10 for row in [part, *rows])
        assert all(0 < row["low"] <= 1 <= row["high"] for row in part["residuals"])
        assert {row["basis"] for row in part["residuals"]} == {"measured", "profile", "spec", "assumed"}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: f"{engine.name}-{engine.device}")
def test_rates_name_known_types_once(engine: Engine) -> None:
    named = [(rate.type, rate.isa) for rate in engine.rates]
    assert len(named) == len(set(named))
    assert all(name in WEIGHT_TYPES for name, _ in named)


def attended(kind: str, heads: Heads, cores: int, isa: str = "avx512") -> float:
    """Nanoseconds a score and core, by the profile's figures."""
    flash = kind != "products"
    rate = attention_rate(LLAMA, "f16" if flash is False else kind, flash, isa)
    assert rate is not None
    kv_type = kind if flash else "f16"
    return cell_s(heads, Attending(rate, 256, kv_type, cores)) / heads.queries * 1e9


@pytest.mark.parametrize(
    ("kind", "shape", "cores", "isa", "seen"),
    [
        ("f16", (32, 8, 64), 1, "avx512", 22.6),
        ("f16", (14, 2, 64), 1, "avx512", 20.3),
        ("f16", (16, 16, 64), 2, "avx512", 38.9),
        ("f16", (32, 8, 128), 1, "avx512", 59.2),
        ("f16", (12, 2, 128), 1, "avx512", 32.0),
        ("f16", (32, 32, 128), 2, "avx512", 126.9),
        ("f16", (8, 2, 256), 1, "avx512", 68.8),
        ("f16", (32, 8, 64), 1, "avx2", 43.3),
        ("f16", (24, 8, 128), 1, "avx2", 43.8),
        ("q8_0", (14, 2, 64), 1, "avx512", 27.5),
        ("q8_0", (16, 8, 128), 1, "avx512", 98.5),
        ("q4_0", (16, 2, 128), 1, "avx512", 93.2),
        ("products", (32, 8, 64), 1, "avx512", 14.0),
        ("products", (32, 8, 64), 2, "avx512", 21.6),
        ("products", (16, 8, 128), 1, "avx512", 35.9),
        ("products", (32, 8, 128), 2, "avx512", 35.0),
    ],
)
def test_a_score_costs_what_ggmls_own_products_took(
    kind: str, shape: tuple[int, int, int], cores: int, isa: str, seen: float
) -> None:
    """One token, 2048 cells, more layers than a cache holds: nanoseconds a score and core, b11434."""
    queries, cached, size = shape
    assert attended(kind, Heads(queries, cached, size, size), cores, isa) == pytest.approx(seen, rel=0.12)


def test_a_head_that_is_no_multiple_of_the_loops_step_costs_more_than_a_longer_one() -> None:
    """Phi 3 has heads of 96: a third of each goes element by element where a step takes 64."""
    assert attended("f16", Heads(32, 2, 96, 96), 1) > 1.5 * attended("f16", Heads(32, 2, 128, 128), 1)


def test_many_heads_in_the_cache_lie_far_apart() -> None:
    """The same query heads over 2 and 8 cached ones: rows of 512 bytes are fetched ahead, of 2048 not."""
    near, far = (attended("f16", Heads(8, cached, 128, 128), 1) for cached in (2, 8))
    assert far > 3 * near
    assert attended("f16", Heads(8, 1, 512, 512), 1) < attended(
        "f16", Heads(8, 2, 512, 512), 1
    )  # one row: no gaps
