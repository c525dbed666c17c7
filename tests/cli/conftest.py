"""A real GGUF file for the commands, and a command that refuses."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import random_gguf

from fitcheck.cli.main import main
from fitcheck.sources.catalog import load_model

Refusal = Callable[..., tuple[str, str]]


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
def refusal(capsys: pytest.CaptureFixture[str]) -> Iterator[Refusal]:
    """Asks for a command in this process, which must end it with exit code 2, and gives stdout and stderr."""
    before = gc.get_threshold()  # a command sets it for a process of its own

    def ask(*args: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(args))
        assert stopped.value.code == 2
        out, err = capsys.readouterr()
        return out, err

    yield ask
    gc.set_threshold(*before)
