"""What formats cost in perplexity: published figures, of the nearest model measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.quality import loss, quality_of
from fitcheck.footprint.quality_table import PERPLEXITY
from fitcheck.sources.catalog import load_model
from fitcheck.sources.quality import TABLE, table_text
from fitcheck.verdict import NOT_TERNARY, quality_note


def test_the_table_is_what_the_profile_gives() -> None:
    """Run ``python -m fitcheck.sources.quality`` after a change of profiles/quality."""
    assert TABLE.read_text(encoding="utf-8") == table_text()


@pytest.mark.parametrize(
    ("form", "model", "note"),
    [
        ("Q4_K_M", "llama-3-8b", "+2.8 % perplexity (Llama-3-8B)"),  # PPL 6.4071 over 6.2316
        ("Q8_0", "qwen3-4b", "+0.04 % perplexity (Llama-3-8B)"),
        ("IQ1_S", "llama-3-8b", "+870 % perplexity (Llama-3-8B)"),
        ("Q4_K_M", "llama-2-7b", "+1.4 % perplexity (Llama-2-7B)"),
        ("Q6_K", "qwen2.5-72b", "+0.47 % perplexity (Llama-3-70B)"),
        ("Q4_0", "qwen2.5-72b", "+7.5 % perplexity (Llama-3-8B)"),  # nobody published it at 70B
        ("F16", "llama-3-8b", None),
        ("AWQ-4bit-g128", "llama-3-8b", None),
        ("no such format", "llama-3-8b", None),
    ],
)
def test_the_note_names_the_model_it_was_measured_on(form: str, model: str, note: str | None) -> None:
    assert quality_of(form, load_model(model)) == note


def test_ternary_formats_and_models_are_never_ranked_among_the_rest() -> None:
    ternary, plain = load_model("bitnet-2b"), load_model("llama-3-8b")
    assert all(quality_of(name, ternary) is None for name in FORMATS)
    assert quality_of("TQ2_0", plain) is None
    assert quality_note(True, plain, "TQ2_0") == NOT_TERNARY
    assert "trained ternary" in (quality_note(True, ternary, "TQ2_0") or "")


def test_fewer_bits_of_a_family_cost_more() -> None:
    for costs in PERPLEXITY.values():
        assert costs["Q8_0"] < costs["Q6_K"] < costs["Q4_K_M"] < costs["Q2_K"]


def test_formats_rank_by_measured_loss_not_by_bits() -> None:
    model = load_model("llama-3.1-8b")
    assert loss("Q5_K_M", 5.7, model) < loss("Q5_1", 6.0, model)
    assert loss("Q4_K_M", 4.83, model) < loss("Q4_1", 5.0, model)


@given(st.floats(1, 16), st.floats(0.01, 4))
def test_an_unmeasured_format_loses_less_with_more_bits(bits: float, more: float) -> None:
    model = load_model("llama-3.1-8b")
    assert 0 < loss("EXL2", bits + more, model) < loss("EXL2", bits, model)


def test_an_unmeasured_format_lies_between_its_neighbours() -> None:
    model = load_model("llama-3.1-8b")
    assert loss("Q6_K", 6.56, model) < loss("EXL2", 6.0, model) < loss("Q5_K_M", 5.7, model)


def test_what_was_published_so_loses_nothing() -> None:
    model = load_model("gpt-oss-20b")
    assert loss("MXFP4_MOE", 4.6, model) == 0 < loss("Q8_0", 8.5, model)
    assert (
        quality_note(ternary=False, model=model, format_name="MXFP4_MOE")
        == "lossless: the model was published so"
    )
