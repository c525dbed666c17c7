from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import UnknownName
from fitcheck.footprint.assignment import assign, weights_bytes
from fitcheck.footprint.mixes import FORMATS, TYPES, find_format
from fitcheck.footprint.reads import read_groups
from fitcheck.footprint.tensors import tensors
from fitcheck.schema.model import Attention, Experts, FeedForward, Layer, Model

MODELS = st.from_type(Model)
NAMES = st.sampled_from(sorted(FORMATS))


def types_of(model, form, tensor):
    """How many of the tensors of that name take which type."""
    found = Counter()
    for typed in assign(model, form):
        if typed.group.tensor.name == tensor:
            found[typed.type] += typed.tensors
    return dict(found)


def of_experts(count, size=1024):
    layer = Layer(Attention(32, 8, 128), (Experts(count, 2, size),))
    return Model(f"{count} experts", "test", "llama", 4096, 32000, (layer,) * 32, False, 32768)


def narrow(hidden, ffn, tied=False):
    layer = Layer(Attention(8, 8, 64), (FeedForward(ffn),))
    return Model(f"narrow {hidden} {tied}", "test", "llama", hidden, 32000, (layer,) * 4, tied, 2048)


def test_q4_k_m_gives_more_bits_to_the_ends_and_every_third_layer(make_llama):
    assert types_of(make_llama(32), "Q4_K_M", "ffn_down.weight") == {"Q6_K": 16, "Q4_K": 16}
    assert types_of(make_llama(32), "Q4_K_M", "attn_v.weight") == {"Q6_K": 16, "Q4_K": 16}
    assert types_of(make_llama(32), "Q4_K_M", "ffn_up.weight") == {"Q4_K": 32}


def test_the_70b_class_never_has_attn_v_below_five_bits(make_llama):
    assert types_of(make_llama(80), "Q4_K_M", "attn_v.weight") == {"Q6_K": 40, "Q5_K": 40}
    assert types_of(make_llama(80), "Q3_K_S", "attn_v.weight") == {"Q5_K": 80}
    assert types_of(make_llama(79), "Q3_K_S", "attn_v.weight") == {"Q3_K": 79}


def test_llama_1_65b_has_no_grouped_queries_and_is_not_of_that_class(make_llama):
    layers = (Layer(Attention(64, 64, 128), (FeedForward(22016),)),) * 80
    assert types_of(replace(make_llama(80), layers=layers), "Q3_K_S", "attn_v.weight") == {"Q3_K": 80}


def test_exactly_eight_experts_get_more_bits():
    assert types_of(of_experts(8), "Q4_K_M", "attn_k.weight") == {"Q8_0": 32}
    assert types_of(of_experts(8), "Q4_K_M", "attn_output.weight") == {"Q5_K": 32}
    assert types_of(of_experts(16), "Q4_K_M", "attn_k.weight") == {"Q4_K": 32}
    assert types_of(of_experts(16), "Q4_K_M", "attn_output.weight") == {"Q4_K": 32}


def test_tied_embeddings_take_the_outputs_type_even_in_ternary_files():
    assert types_of(narrow(512, 1024, tied=True), "TQ1_0", "token_embd.weight") == {"Q6_K": 1}
    assert types_of(narrow(512, 1024), "TQ1_0", "token_embd.weight") == {"Q4_K": 1}


@pytest.mark.parametrize(
    ("form", "cols", "type_"),
    [
        ("Q4_K_S", 1024, "Q4_K"),
        ("Q4_K_S", 1056, "Q5_0"),  # 32 divides, 256 does not
        ("TQ1_0", 1056, "Q4_0"),
        ("IQ4_XS", 1056, "IQ4_NL"),
        ("Q6_K", 1056, "Q8_0"),
        ("Q6_K", 1040, "F16"),  # nothing divides
        ("Q8_0", 1040, "F16"),
        ("trit5", 1041, "trit5"),  # pads its rows
        ("I2_S", 1056, "I2_S"),
    ],
)
def test_columns_that_blocks_do_not_divide_fall_back(form, cols, type_):
    found = types_of(narrow(512, cols), form, "ffn_down.weight")
    assert type_ in found


def test_experts_are_mxfp4_and_all_else_q8_0_in_that_mix():
    model = of_experts(32)
    assert types_of(model, "MXFP4_MOE", "ffn_up_exps.weight") == {"MXFP4": 32}
    assert types_of(model, "MXFP4_MOE", "attn_q.weight") == {"Q8_0": 32}


@pytest.mark.parametrize("form", ["I2_S", "TL1", "TL2"])
def test_bitnet_cpp_keeps_embedding_and_output_in_sixteen_bits(llama_70b, form):
    assert types_of(llama_70b, form, "token_embd.weight") == {"F16": 1}
    assert types_of(llama_70b, form, "output.weight") == {"F16": 1}
    assert types_of(llama_70b, form, "ffn_up.weight") == {form: 80}


def test_checkpoints_keep_norms_in_sixteen_bits_and_no_rope_table(llama_70b):
    assert types_of(llama_70b, "GPTQ-4bit-g128", "output_norm.weight") == {"F16": 1}
    assert types_of(llama_70b, "GPTQ-4bit-g128", "rope_freqs.weight") == {}
    assert types_of(llama_70b, "Q4_0", "rope_freqs.weight") == {"F32": 1}


def test_names_are_found_whatever_their_case():
    assert find_format("q4_k_m").name == "Q4_K_M"
    assert find_format("EXL2-4.0BPW").name == "EXL2-4.0bpw"
    assert find_format("gptq_4bit_g128").name == "GPTQ-4bit-g128"


def test_an_unknown_name_gets_the_nearest_three():
    with pytest.raises(UnknownName) as caught:
        find_format("Q4_K_X")
    assert "Q4_K_M" in caught.value.remedy
    assert caught.value.remedy.count(",") == 2


def test_entries_name_types_and_conditions_that_exist():
    for form in FORMATS.values():
        named = {form.default, form.output, form.token_embd or "F32", form.stacks or "F32", form.vectors}
        named |= {name for rule in form.rules.values() for _, name in rule}
        assert named <= set(TYPES), form.name


@given(MODELS, NAMES)
def test_every_tensor_gets_a_type_once(model, form):
    placed = Counter()
    for typed in assign(model, form):
        placed[_place(typed.group)] += typed.tensors
        assert typed.bytes >= typed.bytes_read >= 0
    mlx = FORMATS[form].family == "mlx"
    absent = {"rope_freqs.weight"} if mlx or FORMATS[form].vectors == "F16" else set()
    held = [g for g in tensors(model) if g.tensor.name not in absent and not (mlx and g.unused)]
    expected = Counter()
    for group in held:
        expected[_place(group)] += group.tensors
    assert placed == expected


def _place(group):
    """A group, whatever type its tensors keep."""
    return group.tensor._replace(keep=None), group.layers, group.unused


@given(MODELS, NAMES)
def test_parts_add_up(model, form):
    assert weights_bytes(model, form) == sum(typed.bytes for typed in assign(model, form))
    groups = read_groups(model, form)
    assert sum(group.bytes for group in groups) == sum(typed.bytes_read for typed in assign(model, form))
    assert len({group.type for group in groups}) == len(groups)


@given(MODELS, NAMES)
def test_a_step_reads_no_more_than_there_is(model, form):
    assert sum(group.bytes for group in read_groups(model, form)) <= weights_bytes(model, form)


# Not Q3_K_L above Q3_K_M: with eight experts llama.cpp gives attn_output of the larger mix fewer bits.
@given(MODELS)
def test_mixes_of_fewer_bits_never_weigh_more(model):
    for order in (("F32", "F16", "Q8_0", "Q6_K"), ("Q5_K_M", "Q5_K_S"), ("Q3_K_M", "Q3_K_S")):
        sizes = [weights_bytes(model, name) for name in order]
        assert sizes == sorted(sizes, reverse=True), order


@given(st.integers(1, 200))
def test_wide_models_keep_the_order_of_bits(layers):
    layer = Layer(Attention(64, 8, 128), (FeedForward(28672),))
    model = Model(f"wide {layers}", "test", "llama", 8192, 32000, (layer,) * layers, False, None)
    order = [
        "F16",
        "Q8_0",
        "Q6_K",
        "Q5_K_M",
        "Q4_K_M",
        "Q3_K_L",
        "Q3_K_M",
        "Q3_K_S",
        "Q2_K",
        "IQ2_XXS",
        "IQ1_S",
    ]
    sizes = [weights_bytes(model, name) for name in order]
    assert sizes == sorted(sizes, reverse=True)
