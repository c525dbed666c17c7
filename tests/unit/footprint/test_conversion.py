"""What comes before the first token."""

import pytest

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.conversion import conversions, largest_tensor
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines

MEMORY = {engine.name: engine.memory for engine in load_engines()}
MIB = 1 << 20


def steps(name, form):
    model = load_model(name)
    memory = MEMORY["bitnet.cpp" if form == "I2_S" else "llama.cpp"]
    return conversions(model, form, weights_bytes(model, form), memory)


def test_a_checkpoint_is_converted_tensor_by_tensor():
    """Llama 70B: the vocabulary's matrix, 128256 x 8192 in 16 bits, is the largest tensor."""
    assert largest_tensor(load_model("llama-3.1-70b")) == 128256 * 8192 * 2
    convert, quantize = steps("llama-3.1-70b", "Q4_K_M")
    assert convert.ram_bytes < 3 << 30 < convert.disk_bytes
    assert quantize.disk_bytes == weights_bytes(load_model("llama-3.1-70b"), "Q4_K_M")


def test_sixteen_bits_need_no_quantizing():
    assert [step.step for step in steps("llama-3.1-8b", "F16")] == ["convert_hf_to_gguf.py"]


def test_bitnets_own_script_holds_all_of_it_in_32_bits():
    convert, quantize = steps("bitnet-2b", "I2_S")
    assert convert.ram_bytes > weights_bytes(load_model("bitnet-2b"), "F32")
    assert quantize.ram_bytes is None  # nobody measured it


@pytest.mark.parametrize("largest_mib", [125, 500])
def test_the_measured_peaks_are_told(largest_mib):
    """Shapes of a vocabulary of 32000 and 128000 and a hidden size of 2048."""
    measured = {125: (462, 442), 500: (844, 1733)}[largest_mib]
    for step, peak in zip(MEMORY["llama.cpp"].conversions, measured, strict=True):
        assert step.ram_fixed_bytes / MIB + step.ram_largest * largest_mib == pytest.approx(peak, rel=0.01)
