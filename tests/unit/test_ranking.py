"""What can run here: the order, the filters, and what is said of those left out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput, UnknownName
from fitcheck.ranking import (
    SORTS,
    Refused,
    Taste,
    choose,
    ordered,
    rank,
    sound,
    speed,
    take_on,
)
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Fits, FormatPlan, ModelSummary, TokenRate
from fitcheck.schema.ranking import RankedModel
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.units import GIB

BOX = Machine(
    "box", "made for the tests", 16 * GIB, arch="x86_64", cores=8, threads=8, simd=("avx2",),
    bandwidth_bytes_per_s=50e9, bandwidth_basis="spec",
)  # fmt: skip
ENGINES = load_engines()
NAMES = ("qwen3-8b", "llama-3.1-70b", "qwen2.5-32b", "bitnet-2b", "mistral-small-24b", "phi-3-mini-4k")


def models(*names: str) -> list[Model]:
    return [load_model(name) for name in names]


def made(
    name: str, size: int, bits: float, *, fits: Fits = "yes", pace: float | None = 5.0, ternary: bool = False
) -> RankedModel:
    summary = ModelSummary(name, "test", "llama", size, size, 1, 64, 100, 4096, ternary)
    weights, rate = int(size * bits / 8), TokenRate(pace, pace, pace, pace) if pace else None
    row = FormatPlan(
        "F", "llama.cpp", bits, weights, 0, 0, 0, weights, fits, 0, size % 4096, "", False, rate
    )  # fmt: skip
    return RankedModel(summary, row)


ranked_models = st.lists(
    st.builds(
        made,
        st.text("abc", min_size=1, max_size=3),
        st.integers(1, 10**6),
        st.floats(1, 16),
        fits=st.sampled_from(("yes", "tight", "no")),
        pace=st.one_of(st.none(), st.floats(0.1, 100)),
        ternary=st.booleans(),
    ),
    max_size=12,
)


@given(ranked_models, st.sampled_from(list(SORTS)))
def test_an_order_loses_nothing_and_puts_what_fits_first(ranked: list[RankedModel], sort: str) -> None:
    shown = ordered(ranked, sort)
    assert sorted(map(id, shown)) == sorted(map(id, ranked))
    assert [one.fits for one in shown] == sorted((one.fits for one in shown), reverse=True)


@given(ranked_models, st.floats(0, 50), st.booleans())
def test_what_is_left_out_is_counted(ranked: list[RankedModel], least: float, everything: bool) -> None:
    shown = choose(ranked, Taste(least_tokens_per_s=least, everything=everything))
    left_out = 0 if everything else shown.not_fitting + shown.too_slow
    assert len(shown.models) + left_out == len(ranked)
    if not everything:
        assert all(one.fits and speed(one) >= least for one in shown.models)


def test_the_largest_sound_one_is_best() -> None:
    """A 70B model in 2 bits stands after a 7B one in 8; one trained ternary has all it ever had."""
    few, small, native = (
        made("few", 70_000, 2.1),
        made("small", 7_000, 8.5),
        made("native", 30_000, 2.1, ternary=True),
    )
    assert ordered((few, small, native), "best") == (native, small, few)
    assert ordered((few, small, native), "size") == (few, native, small)


def test_the_catalogue_on_a_machine_of_16_gib() -> None:
    ranking = rank(models(*NAMES), BOX, Request(), ENGINES, Taste(everything=True))
    names = [one.model.name for one in ranking.models]
    by_name = {one.model.name: one for one in ranking.models}
    assert names[0] == "mistral-small-24b", "the largest that fits with 4 bits"
    assert names[-1] == "llama-3.1-70b"
    assert not by_name["llama-3.1-70b"].fits
    assert not by_name["llama-3.1-70b"].plan.needs_native_training, (
        "a format it was never trained for is no hope"
    )
    assert names.index("qwen2.5-32b") > names.index("phi-3-mini-4k"), "32B fits only in 3 bits"
    assert not sound(by_name["qwen2.5-32b"])
    assert (ranking.fitting, ranking.not_fitting) == (5, 1)


def test_each_model_is_shown_as_the_planner_judged_it() -> None:
    from fitcheck.planner import plan

    ranking = rank(models("qwen3-8b"), BOX, Request(), ENGINES, Taste())
    answer = plan(load_model("qwen3-8b"), BOX, Request(), ENGINES)
    assert ranking.models[0].plan == next(row for row in answer.plans if row.format == answer.best)
    assert ranking.machine == answer.machine
    assert ranking.request.context == 4096


def test_a_long_context_asks_shorter_models_for_their_own() -> None:
    ranking = rank(models("phi-3-mini-4k", "qwen3-8b"), BOX, Request(context=32768), ENGINES, Taste())
    assert {one.model.name for one in ranking.models} == {"phi-3-mini-4k", "qwen3-8b"}
    assert not ranking.unplanned
    assert ranking.request.context == 32768


def test_what_cant_be_asked_is_named_with_its_reason() -> None:
    """Blocks of 32 don't divide a head of 80: phi-2's cache can't be q8_0."""
    odd = replace(
        load_model("qwen3-8b"),
        name="odd-heads",
        layers=tuple(
            replace(layer, mixer=replace(layer.mixer, head_dim=80)) for layer in load_model("qwen3-8b").layers
        ),
    )
    asked = Request(kv_type="q8_0")
    ranking = rank([odd, *models("qwen3-8b")], BOX, asked, ENGINES, Taste())
    assert [(one.name, "80" in one.why) for one in ranking.unplanned] == [("odd-heads", True)]
    with pytest.raises(BadInput, match="80"):
        rank([odd], BOX, asked, ENGINES, Taste())


def test_a_machine_without_a_memory_is_an_error_and_no_empty_list() -> None:
    with pytest.raises(BadInput, match="memory of box is unknown"):
        rank(models("qwen3-8b"), replace(BOX, ram_bytes=None), Request(), ENGINES, Taste())


def test_shapes_nobody_trained_are_no_answer() -> None:
    with pytest.raises(UnknownName):
        rank(models("bitnet-dummy-30b"), BOX, Request(), ENGINES, Taste())


def test_a_model_without_a_measured_speed_is_shown_as_it_fits() -> None:
    """No best format is named where no engine's speed is known; it fits all the same."""
    (one,) = take_on(models("qwen3-8b"), BOX, Request(), ())
    assert isinstance(one, RankedModel)
    assert one.fits
    assert speed(one) == 0.0


def test_all_are_refused_where_the_memory_is_unknown() -> None:
    found = list(
        take_on(models("qwen3-8b", "phi-3-mini-4k"), replace(BOX, ram_bytes=None), Request(), ENGINES)
    )
    assert [one.name for one in found if isinstance(one, Refused)] == ["qwen3-8b", "phi-3-mini-4k"]
