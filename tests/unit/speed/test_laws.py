"""Physics holds for every engine, model, format and machine: nothing bends it."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.reads import read_groups
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, KernelRate, Machine, ReadBandwidth
from fitcheck.schema.plan import TokenRate
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import Decoder, Runner

ENGINES = load_engines()
MODELS = {
    name: load_model(name)
    for name in (
        "llama-3.2-1b",
        "gemma-3-4b",
        "deepseek-v2-lite",
        "qwen3-30b-a3b",
        "nemotron-h-8b",
        "bitnet-2b",
    )
}
FORMATS = ("F16", "Q8_0", "Q4_K_M", "IQ3_S", "TQ1_0", "I2_S", "trit5")
FEATURES = ((), ("avx2",), ("avx2", "avx512_vnni"), ("neon",), ("neon", "dotprod"))

bandwidths = st.floats(1e9, 4e12)
depths = st.integers(0, 200_000)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Anything from a bare name to a benchmarked machine with a GPU."""
    cores = draw(st.none() | st.integers(1, 192))
    measured = draw(st.booleans())
    rows = tuple(
        ReadBandwidth(threads, "4k", draw(bandwidths))
        for threads in (1, 2, 8)
        if measured and draw(st.booleans())
    )
    lanes = draw(st.none() | st.floats(1e11, 1e14))
    card = Gpu("NVIDIA GeForce RTX 3090", 24 << 30, draw(st.none() | bandwidths), lane_ops_per_s=lanes)
    rates = (KernelRate("I2_S", "avx2", draw(st.floats(1e9, 1e12)), "measured"),) if measured else ()
    return Machine(
        name="any",
        source="hypothesis",
        ram_bytes=None,
        arch=draw(st.sampled_from((None, "x86_64", "aarch64"))),
        cores=cores,
        simd=draw(st.sampled_from(FEATURES)),
        core_speed=draw(st.none() | st.floats(0.05, 3)),
        peak_bandwidth_bytes_per_s=draw(st.none() | bandwidths),
        read_bandwidth=rows,
        kernel_rates=rates,
        gpus=(card,),
    )


@st.composite
def decoders(draw: st.DrawFn) -> Decoder:
    model = MODELS[draw(st.sampled_from(sorted(MODELS)))]
    groups = read_groups(model, draw(st.sampled_from(FORMATS)))
    request = Request(
        threads=draw(st.none() | st.integers(1, 192)),
        kv_type=draw(st.sampled_from(("f16", "q8_0"))),
        flash_attention=draw(st.sampled_from(("auto", "on", "off"))),
    )
    engine: Engine = draw(st.sampled_from(ENGINES))
    return Runner(model, draw(machines()), engine, request).decoder(groups)


def changed(decoder: Decoder, **changes: object) -> Decoder:
    """The same weights with another runner."""
    return replace(decoder.runner, **changes).decoder(decoder.groups)  # type: ignore[arg-type]


def rate(decoder: Decoder, depth: int = 0) -> TokenRate:
    return decoder.at(depth).tokens_per_s


@given(decoders(), depths)
def test_the_interval_holds_the_expectation_and_stays_below_the_limit(decoder: Decoder, depth: int) -> None:
    speed = rate(decoder, depth)
    assert 0 < speed.low <= speed.expected <= speed.high <= speed.limit


@given(decoders(), depths, depths)
def test_more_depth_is_never_faster(decoder: Decoder, one: int, other: int) -> None:
    near, far = rate(decoder, min(one, other)), rate(decoder, max(one, other))
    assert far.expected <= near.expected * (1 + 1e-12)
    assert far.limit <= near.limit


@given(decoders(), depths, st.floats(1, 100))
def test_more_bandwidth_is_never_slower(decoder: Decoder, depth: int, times: float) -> None:
    before = replace(decoder.runner.machine, bandwidth_bytes_per_s=20e9, overrides=("bandwidth",))
    after = replace(before, bandwidth_bytes_per_s=20e9 * times)
    slow, fast = (rate(changed(decoder, machine=machine), depth) for machine in (before, after))
    assert fast.expected >= slow.expected * (1 - 1e-12)
    assert fast.limit >= slow.limit


@given(decoders(), depths, st.integers(1, 192), st.integers(1, 192))
def test_more_threads_up_to_the_cores_are_never_slower(
    decoder: Decoder, depth: int, one: int, other: int
) -> None:
    machine = replace(decoder.runner.machine, cores=192, read_bandwidth=())
    few, many = (
        rate(
            changed(decoder, machine=machine, request=replace(decoder.runner.request, threads=threads)), depth
        )
        for threads in sorted((one, other))
    )
    assert many.expected >= few.expected * (1 - 1e-12)


@given(decoders(), depths)
def test_memory_alone_never_makes_fewer_bytes_slower(decoder: Decoder, depth: int) -> None:
    engine = replace(decoder.runner.engine, rates=(), attention=(), lane_costs=())
    machine = replace(decoder.runner.machine, kernel_rates=())
    sizes = []
    for name in FORMATS:
        groups = read_groups(decoder.runner.model, name)
        speed = rate(changed(decoder, engine=engine, machine=machine).runner.decoder(groups), depth)
        sizes.append((sum(group.bytes for group in groups), speed.expected))
    sizes.sort()
    assert all(small[1] >= large[1] * (1 - 1e-12) for small, large in pairwise(sizes))


@given(decoders(), st.integers(1, 200_000))
def test_the_curve_starts_at_the_speed_and_falls(decoder: Decoder, context: int) -> None:
    start, half, full = decoder.curve(context)
    assert (start.depth, half.depth, full.depth) == (0, context // 2, context)
    assert start.expected == rate(decoder).expected
    assert start.expected >= half.expected >= full.expected


@given(decoders(), depths, st.floats(1, 100))
def test_faster_cores_and_lanes_are_never_slower(decoder: Decoder, depth: int, times: float) -> None:
    card = replace(decoder.runner.machine.gpus[0], lane_ops_per_s=1e12)
    slow = replace(decoder.runner.machine, core_speed=0.5, kernel_rates=(), gpus=(card,))
    fast_card = replace(card, lane_ops_per_s=1e12 * times)
    fast = replace(slow, core_speed=0.5 * times, gpus=(fast_card,))
    before, after = (rate(changed(decoder, machine=machine), depth) for machine in (slow, fast))
    assert after.expected >= before.expected * (1 - 1e-12)
    assert after.limit == before.limit


@given(decoders(), depths, st.floats(0.01, 1))
def test_less_of_the_same_types_is_never_slower(decoder: Decoder, depth: int, share: float) -> None:
    smaller = [
        group._replace(bytes=int(group.bytes * share), weights=int(group.weights * share))
        for group in decoder.groups
    ]
    whole, part = rate(decoder, depth), rate(decoder.runner.decoder(smaller), depth)
    assert part.expected >= whole.expected * (1 - 1e-9)
    assert part.limit >= whole.limit


batches = st.integers(1, 24) | st.integers(1, 256)  # code changes with few of them


@given(decoders(), depths, batches, batches)
def test_a_sequence_is_never_faster_beside_more_others(
    decoder: Decoder, depth: int, one: int, other: int
) -> None:
    few, many = sorted((one, other))
    some, all_ = (rate(together(decoder, batch=batch), depth) for batch in (few, many))
    assert all_.expected / many <= some.expected / few * (1 + 1e-9)
    assert all_.low <= all_.expected <= all_.high <= all_.limit


@given(decoders(), depths, batches, batches)
def test_more_sequences_never_lose_by_reading_weights(
    decoder: Decoder, depth: int, one: int, other: int
) -> None:
    """Engines' arithmetic is taken away, since that may lose: llama.cpp's Q6_K does at 8 tokens."""
    few, many = sorted((one, other))
    engine = replace(
        decoder.runner.engine, rates=(), attention=(), prefill=None, overhead_s_per_further_token=0.0
    )
    bare = changed(decoder, engine=engine, machine=replace(decoder.runner.machine, kernel_rates=()))
    some, all_ = (rate(together(bare, batch=batch), depth) for batch in (few, many))
    assert all_.expected >= some.expected * (1 - 1e-9)


drafts = st.builds(
    dict, speculate=st.integers(0, 16), accept=st.floats(0, 1), draft_bytes=st.integers(0, 1 << 34)
)


@given(decoders(), depths, st.integers(1, 16), drafts)
def test_guessed_tokens_gain_at_most_what_they_are(
    decoder: Decoder, depth: int, batch: int, draft: dict[str, int | float]
) -> None:
    """Never more than guessed + 1 times the speed, and never above the limit, whatever the draft costs."""
    alone = rate(together(decoder, batch=batch), depth)
    speed = rate(together(decoder, batch=batch, **draft), depth)
    assert speed.expected <= (draft["speculate"] + 1) * alone.expected * (1 + 1e-9)
    assert 0 < speed.low <= speed.expected <= speed.high <= speed.limit


@given(decoders(), st.integers(1, 16), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1 << 34))
def test_better_guesses_and_cheaper_drafts_are_never_slower(
    decoder: Decoder, guessed: int, one: float, other: float, draft: int
) -> None:
    worse, better = sorted((one, other))
    speeds = [
        rate(together(decoder, speculate=guessed, accept=accept, draft_bytes=size)).expected
        for accept, size in ((worse, draft), (better, draft), (better, draft // 2))
    ]
    assert all(later >= sooner * (1 - 1e-9) for sooner, later in pairwise(speeds))


def together(decoder: Decoder, **asked: int | float) -> Decoder:
    return changed(decoder, request=replace(decoder.runner.request, **asked))  # type: ignore[arg-type]
