"""What fitcheck predicts beside what a real llama.cpp logs and holds, over files of random weights.

The engine is the one the ``peer`` extra installs, in the wheel's build for
AVX2 or Neon. Layers are cut, so that files stay small; all other sizes are
true. Every file is loaded with two of the six settings in turn.
"""

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

from fitcheck.footprint.compute import graph_bytes, output_bytes, runtime_bytes, touched_bytes
from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.footprint.repack import mapped_bytes, repacked_bytes
from fitcheck.schema.model import Model
from fitcheck.sources.catalog import load_model

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("xllamacpp", "gguf", "numpy")),
        reason="no llama.cpp to compare with: pip install 'fitcheck-planner[peer]'",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc"),
]

MIB = 1 << 20
UBATCH = 128
SHAPES = {"smollm2-135m": 30, "qwen3-0.6b": 6, "gemma-3-1b": 6, "granite-4.0-h-tiny": 6, "lfm2-8b-a1b": 4}
FORMATS = ("Q8_0", "Q4_K_M", "Q4_0", "Q2_K")
SETTINGS = tuple(product((1024, 4096, 8192), ("f16", "q8_0")))
CASES = [
    (shape, form, (SETTINGS[number % 6], SETTINGS[(number + 3) % 6]))
    for number, (shape, form) in enumerate(product(SHAPES, FORMATS))
]


@pytest.fixture(scope="module")
def simd() -> tuple[str, ...]:
    """What the wheel was compiled for: it asks at run time for nothing more."""
    code = "import xllamacpp; print(xllamacpp.get_system_info())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = {
        "AVX2 = 1": "avx2",
        "AVX512 = 1": "avx512f",
        "DOTPROD = 1": "dotprod",
        "AMX_INT8 = 1": "amx_int8",
    }
    return tuple(ours for theirs, ours in names.items() if theirs in said)


def cut(name: str) -> Model:
    model = load_model(name)
    return replace(model, name=f"{name} cut", layers=model.layers[: SHAPES[name]])


def load(file: Path, context: int, kv_type: str) -> tuple[str, float]:
    """The log, and by how many MiB the process grew."""
    process = Path(__file__).with_name("llama_cpp_process.py")
    command = [sys.executable, process, file, str(context), str(UBATCH), kv_type]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return done.stdout + done.stderr, (said["peak_kib"] - said["before_kib"]) / 1024


def logged(log: str, buffer: str) -> float:
    """MiB of all buffers of that name together."""
    return sum(map(float, re.findall(rf"{buffer} buffer size = +([\d.]+) MiB", log)))


@pytest.mark.parametrize(
    ("name", "form", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_memory_is_what_llama_cpp_takes(name, form, settings, simd, tmp_path):
    from random_gguf import write

    model, file = cut(name), tmp_path / "model.gguf"
    write(model, form, file)
    repacked, mapped = repacked_bytes(model, form, simd), mapped_bytes(model, form, simd)
    for context, kv_type in settings:
        log, grown = load(file, context, kv_type)
        asked = {"ubatch": UBATCH, "flash_attention": "on"}
        cache = kv_bytes(model, context, kv_type, **asked)
        assert mapped / MIB == pytest.approx(logged(log, "CPU_Mapped model"), abs=0.006)
        assert repacked / MIB == pytest.approx(logged(log, "CPU_REPACK model"), abs=0.006)
        assert cache / MIB == pytest.approx(logged(log, "(?:KV|RS)"), abs=0.016)
        assert output_bytes(model) / MIB == pytest.approx(logged(log, "output"), abs=0.006)
        reserved = graph_bytes(model, context, kv_type, outputs=1, **asked)
        assert reserved / MIB == pytest.approx(logged(log, "compute"), rel=0.02)
        peak = (
            mapped + repacked + cache + touched_bytes(model, context, kv_type, **asked) + runtime_bytes(model)
        )
        assert peak / MIB == pytest.approx(grown, rel=0.03)
    file.unlink()
