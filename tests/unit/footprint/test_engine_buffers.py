"""Buffers of engines that aren't built like llama.cpp: by hand, beside published peaks, and their laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.engine_buffers import engine_buffers
from fitcheck.footprint.explain import buffers_of, explain
from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.footprint.memory import footprint
from fitcheck.footprint.mixes import find_format
from fitcheck.schema.engine import Buffer
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.units import MIB

OF = {engine.name: engine.memory.buffers for engine in load_engines()}
OWN = sorted(name for name, buffers in OF.items() if buffers)
MODELS = ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3", "gemma-3-27b", "falcon-mamba-7b")

# Peak memory in GB of mlx_lm.benchmark -p 2048 -g 128: ml-explore/mlx-lm@d78bf58e mlx_lm/BENCHMARKS.md.
PEAKS = [
    ("qwen3-4b", "MLX-BF16", 9.02),
    ("qwen3-4b", "MLX-8bit", 5.254),
    ("qwen3-4b", "MLX-6bit", 4.25),
    ("qwen3-4b", "MLX-5bit-g32", 4.00),
    ("qwen3-4b", "MLX-5bit", 3.86),
    ("qwen3-4b", "MLX-4bit-g32", 3.603),
    ("qwen3-4b", "MLX-4bit", 3.35),
    ("qwen3-30b-a3b", "MLX-8bit", 33.46),
    ("qwen3-30b-a3b", "MLX-6bit", 25.82),
    ("qwen3-30b-a3b", "MLX-5bit", 22.01),
    ("qwen3-30b-a3b", "MLX-4bit", 18.20),
]


@pytest.mark.parametrize(("name", "form", "peak_gb"), PEAKS)
def test_mlx_peaks_where_it_was_seen_to(name: str, form: str, peak_gb: float) -> None:
    model = load_model(name)
    cache = kv_bytes(model, 2304, "f16")  # 2176 tokens in steps of 256 cells
    buffers = sum(engine_buffers(model, OF["mlx"], 2176, 1).values())
    assert (weights_bytes(model, form) + cache + buffers) / 1e9 == pytest.approx(peak_gb, rel=0.04)


def test_exllamav2_by_hand() -> None:
    """Llama 3.1 8B: hidden 4096, ffn 14336, 32 heads and 8 KV heads of 128, 128256 tokens."""
    found = engine_buffers(load_model("llama-3.1-8b"), OF["exllamav2"], 8192, 1)
    assert found == {
        "scratch": 2048 * (4096 + 2 * 14336) * 2,  # of the MLP, the larger one
        "matrix made 16 bits": 128256 * 4096 * 2,
        "hidden state and mask": 2048 * 4096 * 2 + 2048**2 * 2,
        "logits": 6 * 128256,
    }


def test_transformers_takes_the_whole_prompt_at_once() -> None:
    model = load_model("llama-3.1-8b")
    short, long = (engine_buffers(model, OF["transformers"], n, 1) for n in (1024, 16 * 1024))
    assert short["activations of the prompt"] == 1024 * (2 * 4096 + 3 * 14336) * 2
    assert long["activations of the prompt"] == 16 * short["activations of the prompt"]
    assert long["logits"] == short["logits"]


def test_a_limit_and_a_fixed_part() -> None:
    rows = (Buffer("matrix", "once", "", output_matrix=1, most_bytes=5 * MIB, fixed_bytes=MIB),)
    assert engine_buffers(load_model("llama-3.1-8b"), rows, 4096, 1) == {"matrix": 6 * MIB}


@pytest.mark.parametrize("engine", OWN)
def test_every_buffer_of_a_profile_has_a_size_and_a_source(engine: str) -> None:
    for row in OF[engine]:
        alone = engine_buffers(load_model("llama-3.1-8b"), (row,), 4096, 1)
        assert alone[row.what] > 0 and row.source


@given(st.sampled_from(OWN), st.sampled_from(MODELS), st.integers(256, 1 << 18), st.integers(1, 8))
def test_more_never_takes_less(engine: str, name: str, context: int, slots: int) -> None:
    model, buffers = load_model(name), OF[engine]
    here = engine_buffers(model, buffers, context, slots)
    for more in (
        engine_buffers(model, buffers, 2 * context, slots),
        engine_buffers(model, buffers, context, slots + 1),
    ):
        assert all(more[what] >= size >= 0 for what, size in here.items())
    assert sum(here.values()) >= 4 * model.vocab_size * min(slots, 2)  # the logits that are handed out


@given(st.sampled_from(OWN), st.sampled_from(MODELS[:3]), st.sampled_from((512, 4096, 32768)))
def test_the_lines_add_up(engine: str, name: str, context: int) -> None:
    form = next(
        f for f in ("MLX-4bit", "EXL2-4.0bpw", "AWQ-4bit-g128", "INT8") if buffers_for(f) == OF[engine]
    )
    model, request = load_model(name), Request(context=context)
    answer = explain(model, form, request, context, OF[engine])
    need = footprint(model, weights_bytes(model, form), request, context, OF[engine])
    assert sum(line.bytes for line in answer.lines) == answer.total_bytes == need.total_bytes
    assert need.compute_bytes == sum(engine_buffers(model, OF[engine], context, 1).values())


def buffers_for(form: str) -> tuple[Buffer, ...]:
    return buffers_of(load_engines(), find_format(form).engines[0])


def test_llama_cpp_counts_its_own_graph() -> None:
    assert buffers_for("Q4_K_M") == ()
