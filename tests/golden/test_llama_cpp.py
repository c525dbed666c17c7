"""Against llama.cpp b11434 itself, from records of real runs.

``llama_cpp_quantize.csv``: the bytes that llama_model_quantize chose (its dry
run) for GGUF files of these shapes. ``llama_cpp_memory.csv``: what the CPU
build reserved for a context (its log), weights not repacked;
``llama_cpp_caches.csv`` holds such rows of architectures whose graphs the
formula of compute buffers misses by more, so that only their caches count.
"""

import csv
from pathlib import Path

import pytest

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.compute import compute_bytes
from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.sources.catalog import load_model

MIB = 1 << 20
HERE = Path(__file__).parent


def _rows(name):
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


QUANTIZED = _rows("llama_cpp_quantize.csv")
MEMORY = _rows("llama_cpp_memory.csv")
CACHES = _rows("llama_cpp_caches.csv")


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


@pytest.mark.parametrize("row", MEMORY + CACHES, ids=_name)
def test_cache_and_state_are_exact(row):
    size = kv_bytes(load_model(row["model"]), int(row["context"]), row["kv_type"], **_asked(row))
    assert size / MIB == pytest.approx(float(row["kv_mib"]), abs=0.016)  # printed in two parts of two digits


@pytest.mark.parametrize("row", MEMORY, ids=_name)
def test_compute_and_output_buffers_are_close_and_rarely_under(row):
    size = compute_bytes(load_model(row["model"]), int(row["context"]), **_asked(row))
    reserved = float(row["compute_mib"]) + float(row["output_mib"])
    assert 0.98 * reserved < size / MIB < 1.07 * reserved


def test_a_block_may_not_span_two_heads():
    # llama_init_from_model refused q8_0 for heads of 100.
    with pytest.raises(BadInput, match="heads of 100"):
        kv_bytes(load_model("bitnet-3b"), 4096, "q8_0")
