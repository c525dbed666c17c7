"""Weights against published files: exact where bytes are known, within rounding elsewhere."""

import pytest

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.tensors import active_parameters, parameters
from fitcheck.sources.catalog import load_model

GIB, MIB = 1 << 30, 1 << 20

# llama-bench "model_size" and sums of real files' tensors. The 70B figures hold
# 256 bytes of rope_freqs, which Llama 3.1 files carry.
EXACT = [
    ("llama-3.1-70b", "Q4_K_M", 42512531712),  # lhl/strix-halo-testing, shisa-v2-llama3.3-70b
    ("qwen3-32b", "Q8_0", 34811744256),  # lhl/strix-halo-testing
    ("llama-2-7b", "Q4_0", 3825065984),  # TheBloke/Llama-2-7B-GGUF
    ("llama-2-7b", "Q4_K_M", 4080263168),  # TheBloke/Llama-2-7B-GGUF
    ("llama-3.1-8b", "Q4_K_M", 4912898304),  # bartowski/Meta-Llama-3.1-8B-Instruct-GGUF
]


@pytest.mark.parametrize(("model", "form", "size"), EXACT)
def test_exact_bytes_of_real_files(model, form, size):
    assert weights_bytes(load_model(model), form) == size


# Packings of a 70B model with Llama 3's vocabulary, in GB. TL2 and I2_S follow
# formulas that real bitnet.cpp logs confirm (below).
@pytest.mark.parametrize(
    ("form", "gigabytes"),
    [("F16", 141.11), ("TQ1_0", 15.90), ("TL2", 18.54), ("I2_S", 21.32), ("TQ2_0", 19.11)],
)
def test_a_70b_model_in_the_packings_people_ask_for(form, gigabytes):
    assert round(weights_bytes(load_model("llama-3.1-70b"), form) / 1e9, 2) == gigabytes


# ggml-org/llama.cpp tools/quantize/README.md: bits per weight of Llama-3.1-8B.
README_BITS = {
    "IQ1_S": 2.0042, "IQ1_M": 2.146, "IQ2_XXS": 2.3824, "IQ2_XS": 2.5882, "IQ2_S": 2.7403,
    "IQ2_M": 2.9294, "IQ3_XXS": 3.2548, "IQ3_XS": 3.4977, "IQ3_S": 3.6606, "IQ3_M": 3.7628,
    "IQ4_XS": 4.4597, "IQ4_NL": 4.6818, "Q2_K_S": 2.9697, "Q2_K": 3.1593, "Q3_K_S": 3.6429,
    "Q3_K_L": 4.2979, "Q4_K_S": 4.6672, "Q4_K_M": 4.8944, "Q5_K_S": 5.5704, "Q5_K_M": 5.7036,
    "Q6_K": 6.5633, "Q8_0": 8.5008, "F16": 16.0005,
}  # fmt: skip


@pytest.mark.parametrize(("form", "bits"), README_BITS.items())
def test_bits_per_weight_of_llama_cpps_readme(form, bits):
    model = load_model("llama-3.1-8b")
    assert round(8 * weights_bytes(model, form) / parameters(model), 4) == bits


# XiongjieDai/GPU-Benchmarks-on-LLM-Inference README: GiB of whole files, that is
# with about 8 MB of vocabulary. Its IQ4 files were made with an importance matrix.
LLAMA_3_70B_GIB = {
    "IQ1_S": 14.29, "IQ1_M": 15.60, "IQ2_XXS": 17.79, "IQ2_XS": 19.69, "IQ2_S": 20.71, "Q2_K_S": 22.79,
    "IQ2_M": 22.46, "Q2_K": 24.56, "IQ3_XXS": 25.58, "IQ3_XS": 27.29, "Q3_K_S": 28.79, "IQ3_S": 28.79,
    "IQ3_M": 29.74, "Q3_K_M": 31.91, "Q3_K_L": 34.59, "Q4_K_S": 37.58, "Q4_K_M": 39.60, "Q5_K_S": 45.32,
    "Q5_K_M": 46.52, "Q6_K": 53.91, "Q8_0": 69.83, "F16": 131.43,
}  # fmt: skip


@pytest.mark.parametrize(("form", "gib"), LLAMA_3_70B_GIB.items())
def test_file_sizes_of_llama_3_70b(form, gib):
    size = weights_bytes(load_model("llama-3-70b"), form) / GIB
    assert gib - 0.015 < size < gib + 0.005


@pytest.mark.parametrize(("form", "gib", "early"), [("IQ4_XS", 35.30, "IQ4_XS"), ("IQ4_NL", 37.30, "IQ4_NL")])
def test_an_importance_matrix_saves_what_the_first_ffn_down_tensors_cost(form, gib, early):
    # With one, the ten first ffn_down tensors of 80 stay at the default instead of Q5_K.
    bits = {"IQ4_XS": 4.25, "IQ4_NL": 4.5}[early]
    saved = 10 * 28672 * 8192 * (5.5 - bits) / 8
    size = (weights_bytes(load_model("llama-3-70b"), form) - saved) / GIB
    assert gib - 0.015 < size < gib + 0.005


def test_tl2_as_bitnet_cpp_printed_it():
    # microsoft/BitNet issue #12: "CPU buffer size = 3405.69 MiB" for Llama3-8B-1.58.
    assert round(weights_bytes(load_model("llama3-8b-1.58"), "TL2") / MIB, 2) == 3405.69


def test_i2_s_as_engines_printed_it():
    # ik_llama.cpp PR #168 and discussion #95. Columns of the 3B don't divide by
    # 256, so its tied embedding is Q8_0.
    assert round(weights_bytes(load_model("falcon3-7b-1.58bit"), "I2_S") / GIB, 2) == 3.05
    assert round(weights_bytes(load_model("bitnet-3b"), "I2_S") / MIB, 2) == 873.66


def test_i2_s_of_the_2b_model_fits_its_published_file():
    # microsoft/bitnet-b1.58-2B-4T-gguf ggml-model-i2_s.gguf is 1,187,801,280 bytes;
    # what is not tensors is its vocabulary of 128256 tokens.
    metadata = 1187801280 - weights_bytes(load_model("bitnet-2b"), "I2_S")
    assert 7.5e6 < metadata < 9e6


# As engines count them: GGUF files' "params", and what publishers state of a token's path.
@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("llama-3.1-8b", 8030261312),
        ("llama-3.1-70b", 70553706560),
        ("qwen3-32b", 32762123264),
        ("qwen3-30b-a3b", 30532122624),
        ("qwen3-235b-a22b", 235093634560),
        ("gpt-oss-20b", 20914757184),
        ("gpt-oss-120b", 116829156672),
        ("mistral-small-24b", 23572403200),
        ("gemma-3-27b", 27009346304),
        ("llama-4-scout", 107769861184),
    ],
)
def test_parameters_equal_those_of_real_files(model, count):
    assert parameters(load_model(model)) == count


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("qwen3-30b-a3b", 3.3),
        ("qwen3-235b-a22b", 22),
        ("gpt-oss-20b", 3.6),
        ("mixtral-8x7b", 12.9),
        ("deepseek-v3", 37),
    ],
)
def test_active_parameters_come_near_what_publishers_state(model, billions):
    assert active_parameters(load_model(model)) / 1e9 == pytest.approx(billions, rel=0.2)
