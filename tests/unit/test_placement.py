"""Where layers may lie: laws that hold for any model, card and context."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.budget import Pool, budget_of
from fitcheck.errors import BadInput
from fitcheck.footprint.layers import by_layer, reads
from fitcheck.footprint.memory import choices_of
from fitcheck.footprint.reads import read_groups
from fitcheck.footprint.residence import Residence
from fitcheck.footprint.shards import shard_of
from fitcheck.placement import Engines, Seating, shares_of, spread_over
from fitcheck.planner import plan
from fitcheck.schema.machine import Gpu, Machine, Storage
from fitcheck.schema.plan import RAM, FormatPlan, Plan
from fitcheck.schema.request import Request
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine
from fitcheck.sources.resolve import resolve_model
from fitcheck.spreader import Held, Spreader
from fitcheck.units import GIB

ENGINES = load_engines()
LLAMA = Engines(
    *(
        next(one for one in ENGINES if (one.name, one.device) == ("llama.cpp", device))
        for device in ("cpu", "gpu")
    )
)
CARD = find_machine("rtx-3090").gpus[0]
DESKTOP = Machine(
    "a desktop", "test", 64 * GIB, arch="x86_64", cores=8, threads=16, simd=("avx2", "fma"),
    peak_bandwidth_bytes_per_s=89.6e9,
)  # fmt: skip
NAMES = st.sampled_from(("8b", "70b", "qwen3-30b-a3b", "gemma-3-27b", "nemotron-h-8b", "deepseek-v2-lite"))
FORMATS = st.sampled_from(("F16", "Q8_0", "Q4_K_M", "IQ2_S", "I2_S", "EXL2-4.0bpw", "AWQ-4bit-g128"))
SIZES = st.lists(st.floats(1, 96), min_size=1, max_size=3)


def ask(name: str, machine: Machine = DESKTOP, **request: object) -> Plan:
    return plan(resolve_model(name), machine, Request(**request), ENGINES)  # type: ignore[arg-type]


def row_of(name: str, form: str, machine: Machine = DESKTOP, **request: object) -> FormatPlan:
    return ask(name, machine, formats=(form,), **request).plans[0]


def with_cards(*gigabytes: float, ram: float = 64) -> Machine:
    cards = tuple(replace(CARD, vram_bytes=int(size * GIB)) for size in gigabytes)
    return replace(DESKTOP, gpus=cards, ram_bytes=int(ram * GIB))


@given(NAMES, FORMATS, SIZES, st.floats(2, 256), st.sampled_from((256, 4096)))
@settings(max_examples=60, deadline=None)
def test_items_add_up_and_stay_within_what_is_there(
    name: str, form: str, cards: list[float], ram: float, context: int
) -> None:
    row = row_of(name, form, with_cards(*cards, ram=ram), context=context)
    assert row.total_bytes == sum(item.bytes for item in row.memory if item.resident)
    assert row.peak_bytes == sum(item.bytes for item in row.memory) >= row.total_bytes
    if row.placement is None:
        return
    held: Counter[str] = Counter()
    for item in row.memory:
        held[item.device] += item.bytes if item.resident else 0
    for use in row.placement.devices:
        assert held[use.name] == use.need_bytes
        if row.fits != "no":
            assert use.usable_bytes is not None
            assert use.need_bytes <= use.usable_bytes
    assert set(held) == {use.name for use in row.placement.devices}
    assert (row.fits == "no") == (row.headroom_bytes < 0)


@given(SIZES, st.integers(2, 200), st.data())
def test_a_spread_covers_each_layer_once(cards: list[float], layers: int, data: st.DataObject) -> None:
    on_cards = data.draw(st.integers(0, layers))
    cpu_moe = data.draw(st.integers(0, layers - 1))
    pools = tuple(Pool(str(n), "gpu", int(size * GIB), 0) for n, size in enumerate(cards))
    spread = spread_over(shares_of(pools), layers, on_cards, cpu_moe)
    covered = [layer for part in (spread.ram, *spread.cards) for layer in part]
    assert covered == list(range(layers))
    assert spread.experts == range(max(layers - on_cards, cpu_moe))


@given(NAMES, FORMATS, st.floats(1, 80), st.floats(0, 80))
@settings(max_examples=50, deadline=None)
def test_more_vram_is_never_slower(name: str, form: str, vram: float, more: float) -> None:
    """Whether it loses to the CPU or not: the fastest way that fits is taken."""
    less, larger = (
        row_of(name, form, with_cards(size, ram=256)).decode_tokens_per_s for size in (vram, vram + more)
    )
    if less:
        assert larger
        assert larger.expected >= less.expected * (1 - 1e-9)


@given(NAMES, st.sampled_from(("F16", "Q4_K_M")), st.floats(1, 60), st.integers(1, 16), st.integers(1, 16))
@settings(max_examples=40, deadline=None)
def test_more_context_never_needs_less_anywhere(
    name: str, form: str, vram: float, one: int, other: int
) -> None:
    model = resolve_model(name)
    weights = by_layer(model, form)
    pools = (Pool("a", "gpu", int(vram * GIB), 0), Pool("b", "gpu", 24 * GIB, 0))
    spread = spread_over(shares_of(pools), weights.layers, weights.layers // 2, 0)
    homes = (
        Residence(model, weights, 256 * steps, choices_of(Request())) for steps in sorted((one, one + other))
    )
    less, more = homes
    assert less.ram_bytes(spread) <= more.ram_bytes(spread)
    assert all(less.card_bytes(spread, n) <= more.card_bytes(spread, n) for n in range(2))


@given(NAMES, FORMATS, st.data())
@settings(max_examples=60, deadline=None)
def test_what_devices_read_adds_up_to_what_a_token_reads(name: str, form: str, data: st.DataObject) -> None:
    model = resolve_model(name)
    weights = by_layer(model, form)
    cut = data.draw(st.integers(0, weights.layers))
    moe = data.draw(st.integers(cut, weights.layers))
    parts = (
        *reads(weights, range(cut), range(moe), weights.table_reads),
        *reads(weights, range(cut, weights.layers), range(moe, weights.layers), weights.output_reads),
    )
    found: Counter[str] = Counter()
    for group in parts:
        found[group.type] += group.bytes
    assert +found == {group.type: group.bytes for group in read_groups(model, form) if group.bytes}


@given(NAMES, FORMATS, SIZES, st.floats(2, 128), st.sampled_from((256, 4096, 65536)))
@settings(max_examples=80, deadline=None)
def test_sums_spread_layers_as_trying_each_would(
    name: str, form: str, cards: list[float], ram: float, context: int
) -> None:
    """The fewest experts in RAM, the fewest layers on cards, and on one card the most of them."""
    model = resolve_model(name)
    on = Seating(request := Request(context=context), budget_of(with_cards(*cards, ram=ram), request), LLAMA)
    weights = by_layer(model, form)
    home = Residence(model, weights, context, choices_of(request), LLAMA.memory.tables_on_cards)
    every = range(1, weights.layers)

    def fits(layers: int, experts: int = 0) -> bool:
        spread = spread_over(on.shares, weights.layers, layers, experts)
        return all(home.card_bytes(spread, card) <= usable for card, usable in enumerate(on.usable))

    def ram_holds(layers: int) -> bool:
        assert on.ram
        spread = spread_over(on.shares, weights.layers, layers, 0)
        return home.ram_bytes(spread) <= on.ram.usable_bytes

    ways = list(Spreader(model, on).ways(Held(0, lambda: weights, partial(shard_of, model, form)), context))
    found = {way.cpu_moe_layers for way in ways if way.cpu_moe_layers}
    fewest = next((n for n in every if fits(weights.layers, n)), None)
    if fits(weights.layers) or not weights.experts[-1]:
        assert not found
    else:
        assert found == ({fewest} if fewest else set())
    split = sorted(way.gpu_layers for way in ways if 0 < way.gpu_layers < weights.layers)
    if len(split) > 1:
        assert split[0] == next(n for n in every if ram_holds(n))
    if split and len(cards) == 1:
        assert split[-1] == max(n for n in every if fits(n))


def test_a_70b_model_on_one_card_and_ram() -> None:
    """Published runs of Llama-3 70B Q4_K_M with 24 GB of VRAM and DDR5 put 40 to 46 layers on the card."""
    row = row_of("70b", "Q4_K_M", with_cards(24))
    assert row.placement
    assert 40 <= row.placement.gpu_layers <= 46
    assert row.placement.layers_total == 81
    assert f"-ngl {row.placement.gpu_layers}" in row.placement.flags
    assert row.decode_tokens_per_s
    all_cpu, all_gpu = row_of("70b", "Q4_K_M"), row_of("70b", "Q4_K_M", with_cards(80))
    assert all_cpu.decode_tokens_per_s
    assert all_gpu.decode_tokens_per_s
    assert (
        all_cpu.decode_tokens_per_s.expected
        < row.decode_tokens_per_s.expected
        < all_gpu.decode_tokens_per_s.expected
    )


def test_experts_go_to_ram_first() -> None:
    row = row_of("qwen3-30b-a3b", "Q4_K_M", with_cards(12))
    assert row.placement
    assert row.placement.gpu_layers == row.placement.layers_total == 49
    assert 0 < row.placement.cpu_moe_layers < 48
    assert f"--n-cpu-moe {row.placement.cpu_moe_layers}" in row.placement.flags
    by_layers = row_of("qwen3-30b-a3b", "Q4_K_M", with_cards(12), gpu_layers=25)
    assert by_layers.decode_tokens_per_s
    assert row.decode_tokens_per_s
    assert row.decode_tokens_per_s.expected > by_layers.decode_tokens_per_s.expected


def test_a_type_that_decode_does_not_read_costs_it_nothing() -> None:
    """Layers for prediction may be the only ones with a type: with several sequences it was divided by."""
    row = row_of("step-3.5-flash", "Q2_K_S", with_cards(24), slots=4, batch=4, context=16384)
    assert row.decode_tokens_per_s


def test_a_dense_models_layers_can_be_forced() -> None:
    row = row_of("8b", "Q8_0", with_cards(24), gpu_layers=10)
    assert row.placement
    assert row.placement.gpu_layers == 10
    none = row_of("8b", "Q8_0", with_cards(24), gpu_layers=0)
    assert none.placement
    assert [use.name for use in none.placement.devices] == [RAM]
    assert "--device none" in none.placement.flags


def test_a_small_model_lies_on_the_card_whole() -> None:
    row = row_of("8b", "Q4_K_M", with_cards(24))
    assert row.placement
    assert row.placement.gpu_layers == 33
    card, ram = row.placement.devices
    assert ram.need_bytes < GIB < card.need_bytes


def test_a_tied_table_lies_in_ram_and_is_copied_for_the_output() -> None:
    """llama.cpp keeps token_embd on the host and makes the output a second tensor of the same data."""
    row = row_of("gemma-3-4b", "Q8_0", with_cards(24))
    weights = sum(item.bytes for item in row.memory if item.what == "weights" and item.resident)
    table = 262208 * 2560 * 34 // 32
    assert weights == pytest.approx(row.weights_bytes + table, rel=1e-3)


def test_vllm_takes_its_share_of_the_whole_card_and_leaves_nothing_to_ram() -> None:
    row = row_of("8b", "AWQ-4bit-g128", with_cards(24))
    assert row.placement
    assert row.placement.devices[0].usable_bytes == int(0.92 * 24 * GIB)
    assert row_of("70b", "AWQ-4bit-g128", with_cards(24)).fits == "no"


def test_vllm_splits_every_matrix_over_equal_parts() -> None:
    two, four = (row_of("70b", "AWQ-4bit-g128", with_cards(*[24] * n)) for n in (2, 4))
    for row, cards in ((two, 2), (four, 4)):
        assert row.placement
        needs = [use.need_bytes for use in row.placement.devices if use.kind == "gpu"]
        assert len(needs) == cards
        assert len(set(needs)) == 1
        assert f"--tensor-parallel-size {cards}" in row.placement.flags
        assert any(note.startswith(f"tensor parallel on {cards} of {cards} cards") for note in row.notes)
        assert row.total_bytes == sum(item.bytes for item in row.memory)
    assert two.decode_tokens_per_s
    assert four.decode_tokens_per_s
    assert two.decode_tokens_per_s.expected < four.decode_tokens_per_s.expected
    assert two.max_context < four.max_context


def test_vllm_leaves_cards_idle_that_do_not_divide_the_heads() -> None:
    row = row_of("70b", "AWQ-4bit-g128", with_cards(24, 24, 24))
    assert row.placement
    assert "--tensor-parallel-size 2" in row.placement.flags
    assert any(
        "2 of 3 cards" in note and "64 attention heads don't divide by 3" in note for note in row.notes
    )
    assert "on 2 GPUs" in ask("70b", with_cards(24, 24, 24), formats=("AWQ-4bit-g128",)).verdict


def test_the_smallest_of_cards_that_share_layers_counts() -> None:
    equal, one_small = (row_of("70b", "AWQ-4bit-g128", with_cards(24, size)) for size in (24, 16))
    assert equal.fits == "yes"
    assert one_small.fits == "no"
    halved = row_of("70b", "AWQ-4bit-g128", with_cards(24, 24), gpu_layers=40)
    assert "vllm takes all layers onto GPUs, or none" in halved.notes


@given(st.sampled_from(("8b", "70b", "qwen3-30b-a3b")), st.sampled_from((2, 4, 8)))
@settings(max_examples=12, deadline=None)
def test_a_card_never_holds_less_than_its_part(name: str, cards: int) -> None:
    alone, shared = (row_of(name, "AWQ-4bit-g128", with_cards(*[96] * n)) for n in (1, cards))
    assert alone.placement
    assert shared.placement
    assert alone.placement.devices[0].need_bytes / cards <= shared.placement.devices[0].need_bytes


def test_two_cards_share_the_layers() -> None:
    row = row_of("70b", "Q4_K_M", with_cards(24, 24))
    assert row.placement
    names = [use.name for use in row.placement.devices]
    assert len(set(names)) == 3
    assert row.placement.gpu_layers == 81


def test_without_mmap_nothing_is_touched_twice() -> None:
    mapped, loaded = row_of("8b", "Q4_K_M"), row_of("8b", "Q4_K_M", mmap=False)
    assert mapped.total_bytes == loaded.total_bytes == loaded.peak_bytes < mapped.peak_bytes
    assert all(item.kind == "anonymous" for item in loaded.memory)
    assert loaded.placement
    assert "-lm none" in loaded.placement.flags
    plain = row_of("8b", "Q4_K_M", repack=False)
    assert plain.peak_bytes == plain.total_bytes
    assert all(item.what != "repacked copy" for item in plain.memory)


def test_unified_memory_is_counted_once_and_the_cpu_may_have_all_of_it() -> None:
    mac = replace(find_machine("apple-m3"), ram_bytes=16 * GIB)
    gpu, cpu = row_of("14b", "Q4_K_M", mac), row_of("14b", "Q6_K", mac)
    assert gpu.placement
    assert gpu.placement.devices[0].kind == "unified"
    assert cpu.placement
    assert cpu.placement.gpu_layers == 0
    assert cpu.fits != "no"
    assert "CPU alone" in ask("14b", mac, formats=("Q6_K",)).verdict


def test_a_limit_read_from_macos_counts() -> None:
    gpu = Gpu("Apple M3 GPU", 14 * GIB, None, "GPU memory limit set by iogpu.wired_limit_mb")
    mac = Machine("Mac15,3", "test", 16 * GIB, cpu="Apple M3", gpus=(gpu,), unified_memory=True)
    budget = budget_of(mac, Request())
    assert budget.usable_bytes == 14 * GIB
    assert any("wired_limit_mb" in note for note in budget.notes)


@pytest.mark.parametrize(
    ("request_", "machine"),
    [
        ({"gpu_layers": 34}, with_cards(24)),
        ({"cpu_moe_layers": 33}, with_cards(24)),
        ({"gpu_layers": 1}, DESKTOP),
        ({"cpu_moe_layers": 1}, DESKTOP),
        ({"gpu_layers": 5}, find_machine("apple-m3")),
    ],
)
def test_a_placement_that_can_not_be_is_refused(request_: dict[str, int], machine: Machine) -> None:
    with pytest.raises(BadInput):
        ask("8b", machine, **request_)


def test_weights_beyond_ram_run_from_the_disk_and_are_never_best() -> None:
    """A 15.3 GiB model on a 16 GB machine was seen at 2.75 tokens/s (shared pages, a fast NVMe)."""
    small = replace(DESKTOP, ram_bytes=16 * GIB, storage=Storage("nvme0n1", "nvme", 7e9))
    answer = ask("14b", small, formats=("Q8_0",))
    (row,) = answer.plans
    assert 14.4 * GIB < row.weights_bytes < 15.5 * GIB
    assert (row.fits, row.decode_bound, row.speed_basis) == ("no", "disk", "assumed")
    assert row.decode_tokens_per_s
    assert row.decode_tokens_per_s.low < 2.75 < row.decode_tokens_per_s.high * 1.5
    assert answer.best is None
    assert "From the disk" in answer.verdict


def test_no_disk_speed_where_weights_must_be_loaded() -> None:
    small = replace(DESKTOP, ram_bytes=8 * GIB)
    assert row_of("14b", "Q8_0", small, mmap=False).decode_tokens_per_s is None
    card = replace(with_cards(8), ram_bytes=None)
    assert row_of("14b", "Q8_0", card).decode_tokens_per_s is None


def test_a_faster_disk_is_faster() -> None:
    small = replace(DESKTOP, ram_bytes=16 * GIB)
    speeds = [
        row_of("70b", "Q4_K_M", replace(small, storage=Storage("x", "ssd", rate))).decode_tokens_per_s
        for rate in (0.5e9, 5e9)
    ]
    slow, fast = speeds
    assert slow
    assert fast
    assert slow.expected < fast.expected


def test_ollama_runs_what_llama_cpp_runs() -> None:
    row = row_of("8b", "Q4_K_M", with_cards(24), engine="ollama")
    assert row.engine == "ollama"
    assert row.placement
    assert "PARAMETER num_gpu 33" in row.placement.flags
    assert row.decode_tokens_per_s == row_of("8b", "Q4_K_M", with_cards(24)).decode_tokens_per_s


def test_engines_that_only_run_on_gpus_leave_no_layer_behind() -> None:
    row = row_of("70b", "EXL2-8.0bpw", with_cards(24.0), gpu_layers=20)
    assert row.decode_tokens_per_s is None
    assert "exllamav2 takes all layers onto GPUs, or none" in row.notes
