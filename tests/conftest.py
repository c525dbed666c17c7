"""Settings for all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: a deadline would fail tests for what others run.
settings.register_profile("fitcheck", deadline=None)
settings.load_profile("fitcheck")


@pytest.fixture(autouse=True)
def nothing_of_ours(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was learned or measured on a developer's machine must not move a test's figures."""
    for kind in ("data", "cache", "config"):
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(tmp_path_factory.getbasetemp() / kind))


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A real GGUF file of one Llama layer, F32, written by the gguf package."""
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    shapes = {
        "token_embd": (96, 64), "output": (96, 64), "output_norm": (64,), "blk.0.attn_norm": (64,),
        "blk.0.attn_q": (64, 64), "blk.0.attn_k": (32, 64), "blk.0.attn_v": (32, 64),
        "blk.0.attn_output": (64, 64), "blk.0.ffn_norm": (64,), "blk.0.ffn_gate": (128, 64),
        "blk.0.ffn_up": (128, 64), "blk.0.ffn_down": (64, 128),
    }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", numpy.zeros(shape, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
