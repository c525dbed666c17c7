"""Against b11434 as it loaded real files of random weights, by its log and its peak of resident memory.

``llama_cpp_loads.csv``: files written by tests/random_gguf.py, with the first
so many layers of a shape and a tokenizer of its size; loaded by a bare program
on the library (AVX-512; a column for AVX2), which then read a prompt of one
micro-batch and decoded a token. What ``tests/slow/test_llama_cpp.py`` does with
another build whenever it runs.
"""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from fitcheck.footprint.compute import graph_bytes, output_bytes, runtime_bytes, touched_bytes
from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.footprint.repack import mapped_bytes, repacked_bytes
from fitcheck.sources.catalog import load_model

MIB = 1 << 20
AVX2 = ("avx2", "fma", "f16c")
AVX512 = (*AVX2, "avx512f", "avx512bw", "avx512_vnni")
PRINTED = 0.006  # logs print two digits
with Path(__file__).with_name("llama_cpp_loads.csv").open(newline="") as FILE:
    LOADS = list(csv.DictReader(FILE))


def _name(row):
    return "-".join(row[key] for key in ("model", "format", "context", "ubatch", "kv_type"))


def _model(row):
    model = load_model(row["model"])
    layers = model.layers[: int(row["layers"])]
    name = f"{row['model']}, {len(layers)} layers"
    return replace(model, name=name, layers=layers, nextn_layers=0, nextn_vocabularies=0)


def _sizes(row):
    model, form, context = _model(row), row["format"], int(row["context"])
    asked = {"ubatch": int(row["ubatch"]), "flash_attention": "on"}
    return {
        "mapped": mapped_bytes(model, form, AVX512),
        "repacked": repacked_bytes(model, form, AVX512),
        "repacked_avx2": repacked_bytes(model, form, AVX2),
        "kv": kv_bytes(model, context, row["kv_type"], **asked),
        "compute": graph_bytes(model, context, row["kv_type"], **asked),
        "output": output_bytes(model),
        "touched": touched_bytes(model, context, row["kv_type"], **asked),
        "runtime": runtime_bytes(model, served=False),
    }


@pytest.mark.parametrize("row", LOADS, ids=_name)
def test_what_llama_cpp_mapped_repacked_and_reserved(row):
    sizes = _sizes(row)
    for part in ("mapped", "repacked", "repacked_avx2", "output"):
        assert sizes[part] / MIB == pytest.approx(float(row[f"{part}_mib"]), abs=PRINTED), part
    assert sizes["kv"] / MIB == pytest.approx(float(row["kv_mib"]), abs=3 * PRINTED)  # sums of lines
    assert sizes["compute"] / MIB == pytest.approx(float(row["compute_mib"]), rel=0.02)


@pytest.mark.parametrize("row", LOADS, ids=_name)
def test_what_was_resident_at_the_peak(row):
    sizes = _sizes(row)
    peak = sum(sizes[part] for part in ("mapped", "repacked", "kv", "touched", "runtime"))
    assert peak / MIB == pytest.approx(float(row["peak_mib"]), rel=0.03)


def test_enough_was_recorded():
    """Five shapes, four mixes, three contexts and two KV types at the least."""
    kinds = ("model", "format", "context", "kv_type")
    shapes = {row["model"] for row in LOADS}
    settings = {tuple(row[key] for key in kinds) for row in LOADS}
    assert len(shapes) >= 5
    assert len(settings) >= 5 * 4 * 3 * 2
