"""What llama-bench prints: a recorded run of b11434, other shapes of it, and what is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput, FitcheckError
from fitcheck.schema.machine import KernelRate
from fitcheck.sources.llama_bench import bench_rows
from fitcheck.sources.results import Named, runs_in, shape_of

RECORDED = (Path(__file__).parent / "results" / "llama_bench.json").read_bytes()
TESTS: list[dict[str, Any]] = json.loads(RECORDED)
NAMED = Named("qwen2.5-0.5b", "Q4_K_M")


def test_a_recorded_run() -> None:
    rows = bench_rows(RECORDED)
    assert [(row.prompt, row.decoded, row.depth) for row in rows] == [
        (64, 0, 0), (0, 16, 0), (64, 0, 256), (0, 16, 256),
    ]  # fmt: skip
    decode = rows[1]
    assert (decode.threads, decode.kv_type, decode.flash_attention, decode.device) == (
        2,
        "f16",
        "auto",
        "cpu",
    )
    assert decode.tokens_per_s == pytest.approx(TESTS[1]["samples_ts"], rel=1e-5)
    assert decode.build is None  # a build outside git knows no commit


def test_a_line_each_is_the_same() -> None:
    lines = "\n".join(json.dumps(test) for test in TESTS).encode()
    assert bench_rows(lines) == bench_rows(RECORDED)


def test_older_and_newer_builds() -> None:
    old = {"build_commit": "5e7d133", "build_number": 1234, "model_size": 10, "n_threads": 4,
           "n_prompt": 0, "n_gen": 128, "avg_ns": 64_000_000_000, "flash_attn": True}  # fmt: skip
    [row] = bench_rows(json.dumps(old).encode())
    assert row.tokens_per_s == (2.0,)
    assert (row.build, row.flash_attention, row.ubatch) == ("5e7d133 (b1234)", "on", 512)
    gpu = {**old, "gpu_info": "NVIDIA RTX 4090", "n_gpu_layers": 99}
    assert bench_rows(json.dumps(gpu).encode())[0].device == "gpu"
    assert bench_rows(json.dumps({**gpu, "n_gpu_layers": 0}).encode())[0].device == "cpu"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no test"),
        (b"| model | size |", "no JSON"),
        (b"[]", "no test"),
        (b"[3]", "no test of llama-bench"),
        (b"{}", "no test of llama-bench"),
        (b'{"n_prompt": 0}', "no usable n_gen"),
        (b'{"n_prompt": 0, "n_gen": 8, "model_size": 1, "n_threads": 1}', "no times"),
        (b'{"n_prompt": 0, "n_gen": 8, "model_size": 1, "n_threads": 1, "samples_ns": [0]}', "no times"),
        (b'{"n_prompt": 0, "n_gen": 99999999999, "model_size": 1, "n_threads": 1}', "more than any run"),
    ],
)
def test_bad_input_is_one_line(text: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        bench_rows(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(TESTS[1])), inner),
)


@given(st.dictionaries(st.sampled_from(sorted(TESTS[1])), json_values))
def test_a_test_with_anything_in_it_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        runs_in(json.dumps({**TESTS[1], **changes}).encode(), NAMED)
    except FitcheckError as error:
        assert error.message and error.remedy and "\n" not in error.message


def test_runs_carry_their_question() -> None:
    prompt, decode, *_ = runs_in(RECORDED, NAMED)
    assert (prompt.kind, prompt.prompt, decode.kind, decode.prompt) == ("prefill", 64, "decode", 0)
    assert decode.shape == shape_of("qwen2.5-0.5b", "Q4_K_M")
    assert decode.tokens_per_s == pytest.approx(5.53, rel=0.02)


def test_the_file_s_name_is_enough_where_the_size_agrees() -> None:
    assert runs_in(RECORDED, Named())[1].shape.model.name == "qwen2.5-0.5b"
    with pytest.raises(BadInput, match=r"ran 0\.39 GB of weights, but llama-3.2-1b in Q4_K_M has 0\.8"):
        runs_in(RECORDED, Named("llama-3.2-1b", "Q4_K_M"))
    other = json.dumps({**TESTS[1], "model_filename": "/models/nobody-knows-this.gguf"}).encode()
    with pytest.raises(BadInput, match="isn't here") as caught:
        runs_in(other, Named())
    assert "--model" in caught.value.remedy


def test_a_verification() -> None:
    value = {"schema": "fitcheck.verification/1", "model": "llama-3.2-1b", "format": "Q8_0", "depth": 0,
             "threads": 2, "measured_tokens_per_s": 20.0, "read_bandwidth_bytes_per_s": 30e9,
             "engine": "llama.cpp"}  # fmt: skip
    [run] = runs_in(json.dumps(value).encode(), Named())
    assert (run.engine, run.bandwidth_bytes_per_s, run.tokens_per_s) == ("llama.cpp", 30e9, 20.0)
    for name in ("threads", "measured_tokens_per_s"):
        with pytest.raises(BadInput, match="lacks a usable part"):
            runs_in(json.dumps({**value, name: "x"}).encode(), Named())


def test_a_verification_says_how_fast_a_core_was() -> None:
    core = {"format": "I2_S", "isa": "avx512vnni", "weights_per_s": 150e9}
    value = {"schema": "fitcheck.verification/1", "model": "llama-3.2-1b", "format": "Q8_0", "depth": 0,
             "threads": 2, "measured_tokens_per_s": 20.0, "read_bandwidth_bytes_per_s": 30e9,
             "engine": "llama.cpp"}  # fmt: skip
    for said, known in (
        ({"core": core}, KernelRate("I2_S", "avx512vnni", 150e9, "measured")),
        ({"core": None}, None),
        ({}, None),
    ):
        [run] = runs_in(json.dumps({**value, **said}).encode(), Named())
        assert run.core == known
    for broken in ({**core, "weights_per_s": -1}, {"format": "I2_S"}, "fast"):
        with pytest.raises(BadInput, match="lacks a usable part"):
            runs_in(json.dumps({**value, "core": broken}).encode(), Named())
