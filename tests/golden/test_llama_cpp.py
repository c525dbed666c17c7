"""Against llama.cpp b11434 itself, from records of real runs.

``llama_cpp_quantize.csv``: the bytes that llama_model_quantize chose (its dry
run) for GGUF files of these shapes. ``llama_cpp_memory.csv``: what the CPU
build reserved for a context (its log), weights not repacked, every token of a
micro-batch allowed its logits. ``llama_cpp_outputs.csv``: the same where only
so many are, as llama-server asks.
"""

import csv
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.compute import graph_bytes, output_bytes, understated
from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.sources.catalog import load_model

MIB = 1 << 20
HERE = Path(__file__).parent


def _rows(name):
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


QUANTIZED = _rows("llama_cpp_quantize.csv")
MEMORY = _rows("llama_cpp_memory.csv")
OUTPUTS = _rows("llama_cpp_outputs.csv")


@pytest.mark.parametrize("row", QUANTIZED, ids=lambda row: row["model"])
def test_every_mix_of_every_architecture_is_byte_exact(row):
    model = load_model(row["model"])
    formats = [name for name in row if name != "model"]
    assert {name: weights_bytes(model, name) for name in formats} == {
        name: int(row[name]) for name in formats
    }


def _asked(row):
    return {
        "slots": int(row["slots"]),
        "ubatch": int(row["ubatch"]),
        "flash_attention": row["flash_attention"],
        "unified": row["unified"] == "1",
    }


def _name(row):
    return "-".join(row[key] for key in ("model", "context", "ubatch", "flash_attention", "slots", "unified"))


@pytest.mark.parametrize("row", MEMORY, ids=_name)
def test_cache_and_state_are_exact(row):
    size = kv_bytes(load_model(row["model"]), int(row["context"]), row["kv_type"], **_asked(row))
    assert size / MIB == pytest.approx(float(row["kv_mib"]), abs=0.016)  # printed in two parts of two digits


@pytest.mark.parametrize("row", MEMORY, ids=_name)
def test_compute_buffer_is_what_the_allocator_needs(row):
    size = graph_bytes(load_model(row["model"]), int(row["context"]), row["kv_type"], **_asked(row))
    assert size / MIB == pytest.approx(float(row["compute_mib"]), rel=0.02)


@pytest.mark.parametrize("row", MEMORY, ids=_name)
def test_output_buffer_is_exact(row):
    assert output_bytes(load_model(row["model"]), int(row["slots"])) / MIB == pytest.approx(
        float(row["output_mib"]), abs=0.006
    )


def test_most_compute_buffers_are_exact():
    sizes = [
        graph_bytes(load_model(row["model"]), int(row["context"]), row["kv_type"], **_asked(row)) / MIB
        for row in MEMORY
    ]
    off = [abs(size / float(row["compute_mib"]) - 1) for size, row in zip(sizes, MEMORY, strict=True)]
    assert sorted(off)[len(off) * 98 // 100] < 0.001


# The one case of 783 that is further off, by model, context, micro-batch, flash attention and slots.
_UNDER = {("minimax-m3", "1024", "512", "on", "3"): 0.09}


def test_what_is_further_off_is_said():
    for model, *_, slots in _UNDER:
        assert "9 % higher" in understated(load_model(model), int(slots))
    assert understated(load_model("minimax-m3"), 1) is None
    assert understated(load_model("llama-3.1-8b"), 4) is None


@pytest.mark.parametrize("row", OUTPUTS, ids=_name)
def test_compute_buffer_of_a_server_that_wants_one_output_a_slot(row):
    size = graph_bytes(
        load_model(row["model"]),
        int(row["context"]),
        row["kv_type"],
        outputs=int(row["outputs"]),
        **_asked(row),
    )
    case = tuple(row[key] for key in ("model", "context", "ubatch", "flash_attention", "slots"))
    assert size / MIB == pytest.approx(float(row["compute_mib"]), rel=_UNDER.get(case, 0.02))


def test_nearly_all_buffers_of_a_server_are_exact():
    off = [
        abs(graph_bytes(load_model(row["model"]), int(row["context"]), row["kv_type"],
            outputs=int(row["outputs"]), **_asked(row)) / MIB / float(row["compute_mib"]) - 1)
        for row in OUTPUTS
    ]  # fmt: skip
    assert sorted(off)[len(off) * 99 // 100] < 0.001


@given(st.sampled_from(sorted({row["model"] for row in MEMORY})), st.integers(1, 256), st.integers(1, 2048))
@example("bitnet-3b", 10, 466)  # 76 kB more of 101 MB
def test_fewer_outputs_need_no_more_but_for_the_holes_they_leave(name, steps, outputs):
    """ggml's allocator takes the best hole for a tensor: a smaller one may split what another needs."""
    model, context = load_model(name), 256 * steps
    assert graph_bytes(model, context, outputs=outputs) <= 1.001 * graph_bytes(model, context)


def test_a_block_may_not_span_two_heads():
    # llama_init_from_model refused q8_0 for heads of 100.
    with pytest.raises(BadInput, match="heads of 100"):
        kv_bytes(load_model("bitnet-3b"), 4096, "q8_0")
