"""MLX's formats: their arithmetic, what they leave out of a model, and where a plan lists them."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.assignment import assign, weights_bytes
from fitcheck.footprint.formats import MLX_BITS, MLX_GROUPS, WEIGHT_TYPES, mlx_name, tensor_bytes
from fitcheck.footprint.mixes import FORMATS, formats_on
from fitcheck.footprint.mlx import _COMPARED, mlx_notes, runs_on_mlx
from fitcheck.footprint.stored import stored_as
from fitcheck.planner import plan
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model, load_models
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import find_machine

SIZES = Path(__file__).parents[2] / "golden" / "mlx_sizes.csv"
MODELS = (
    "llama-3.1-8b",
    "llama-3.2-1b",
    "qwen3-30b-a3b",
    "deepseek-v3",
    "nemotron-nano-9b-v2",
    "gemma-4-e2b",
)


@given(
    st.sampled_from(MLX_BITS),
    st.sampled_from(MLX_GROUPS),
    st.integers(1, 64),
    st.integers(1, 999),
    st.integers(1, 9),
)
def test_a_matrix_is_words_scales_and_biases(
    bits: int, group: int, groups: int, rows: int, stack: int
) -> None:
    """mx.quantize: 32-bit words along the row, and two numbers of 16 bits a group."""
    cols = group * groups
    words, pairs = rows * cols * bits // 32, rows * groups
    found = tensor_bytes(WEIGHT_TYPES[mlx_name(bits, group)], cols, rows, stack)
    assert found == stack * (4 * words + 2 * 2 * pairs)


@pytest.mark.parametrize(("form", "bits"), [("MLX-MXFP8", 8.25), ("MLX-MXFP4", 4.25), ("MLX-NVFP4", 4.5)])
def test_floats_have_one_scale_of_eight_bits(form: str, bits: float) -> None:
    assert WEIGHT_TYPES[form].bits_per_weight == bits


@given(st.sampled_from(MODELS), st.sampled_from(MLX_GROUPS))
def test_fewer_bits_and_longer_groups_weigh_less(name: str, group: int) -> None:
    model = load_model(name)
    sizes = [weights_bytes(model, mlx_name(bits, group)) for bits in MLX_BITS]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < weights_bytes(model, "MLX-BF16")
    for low, high in ((2, 6), (3, 4), (3, 6), (4, 6)):
        mixed = weights_bytes(model, f"MLX-mixed-{low}-{high}")
        assert mixed <= weights_bytes(model, mlx_name(high, 64))


def test_rows_that_are_no_whole_groups_stay_in_16_bits() -> None:
    """Nemotron Nano's 4480 columns are 35 groups of 128 and 70 of 64; its experts' 1856 are 29 of 64."""
    model = load_model("nemotron-3-nano-30b-a3b")
    types = {typed.type for typed in assign(model, "MLX-4bit-g128") if typed.group.tensor.cols == 1856}
    assert types == {"F16"}
    types = {typed.type for typed in assign(model, "MLX-4bit") if typed.group.tensor.cols == 1856}
    assert types == {"MLX-4bit"}


def test_layers_that_predict_further_tokens_are_left_out() -> None:
    model = load_model("glm-4.7")
    assert any(typed.group.unused for typed in assign(model, "Q8_0"))
    assert not any(typed.group.unused for typed in assign(model, "MLX-8bit"))


@pytest.mark.parametrize(
    ("name", "form", "type_"),
    [
        ("qwen3-30b-a3b", "MLX-4bit", "MLX-8bit"),  # quant_predicate
        ("qwen3-30b-a3b", "MLX-mixed-4-6", "MLX-4bit"),  # a recipe asks nobody
        ("qwen3-30b-a3b", "MLX-BF16", "BF16"),
        ("glm-4.7", "MLX-4bit", "BF16"),  # a bare array
        ("mixtral-8x7b", "MLX-4bit", "MLX-4bit"),  # a Linear like the rest
    ],
)
def test_what_a_router_takes(name: str, form: str, type_: str) -> None:
    rows = assign(load_model(name), form)
    assert {row.type for row in rows if row.group.tensor.name == "ffn_gate_inp.weight"} == {type_}


def test_what_was_compared_is_said() -> None:
    with SIZES.open(newline="") as file:
        compared = {load_model(row["model"]).architecture for row in csv.DictReader(file)}
    assert compared == _COMPARED
    assert mlx_notes(load_model("llama-3.1-8b")) == ()
    assert "never compared" in mlx_notes(load_model("jamba-v0.1"))[0]
    assert "no model" in mlx_notes(load_model("falcon-7b"))[0]
    assert all(len(stored_as(model, "MLX-4bit").notes) <= 1 for model in load_models())


def test_a_mac_lists_them_and_others_take_them_by_name() -> None:
    ours = {name for name, form in FORMATS.items() if form.family == "mlx"}
    assert not ours & set(formats_on(apple=False))
    assert "MLX-4bit" in formats_on(apple=True) and "MLX-4bit-g32" not in formats_on(apple=True)
    engines, model = load_engines(), load_model("llama-3.1-8b")
    rows = {row.format: row for row in plan(model, find_machine("m2-max"), Request(), engines).plans}
    four = rows["MLX-4bit"]
    assert (four.engine, four.speed_basis, four.fits) == ("mlx", "spec", "yes")
    assert four.decode_tokens_per_s is not None
    asked = Request(formats=("MLX-4bit-g32",))
    (row,) = plan(model, find_machine("ryzen-9-7950x-64gb"), asked, engines).plans
    assert row.decode_tokens_per_s is None and "mlx" in " ".join(row.notes)


def test_no_mlx_row_for_a_model_that_it_has_not() -> None:
    model = load_model("falcon-7b")
    assert not runs_on_mlx(model)
    rows = plan(model, find_machine("m2-max"), Request(), load_engines()).plans
    assert not any(row.engine == "mlx" for row in rows)
