"""A real GGUF file for the commands."""

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
import random_gguf

from fitcheck.sources.catalog import load_model


@pytest.fixture(scope="session")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two layers of Qwen3-30B-A3B's shape, but of eight small experts."""
    whole = load_model("qwen3-30b-a3b")
    (mixture,) = whole.layers[0].ffns
    layer = replace(whole.layers[0], ffns=(replace(mixture, count=8, active=2, size=256),))
    path = tmp_path_factory.mktemp("file") / "small.gguf"
    random_gguf.write(replace(whole, vocab_size=512, layers=(layer, layer)), "Q4_K_M", path)
    return str(path)


@pytest.fixture
def usual_collector() -> Iterator[None]:
    """As it was, after a command that ran in this process: it has its own process as a rule."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
