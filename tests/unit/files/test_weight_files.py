"""What people type, and the real file that it stands for."""

import json
from pathlib import Path

import pytest

from fitcheck.errors import BadInput
from fitcheck.sources.weight_files import LOADERS, WeightFile


def load(text: str) -> WeightFile | None:
    """As the resolver does it: the first loader that knows such a text."""
    return next((load(text) for matches, load in LOADERS if matches(text)), None)


def test_a_gguf_file(tmp_path, tiny):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    found = load(str(path))
    assert (found.model.name, found.model.source) == ("Tiny", str(path))
    assert found.weights.file_bytes == len(tiny)


def test_a_blob_of_ollama_has_no_ending(tmp_path, tiny):
    path = tmp_path / "sha256-ab"
    path.write_bytes(tiny)
    assert load(str(path)).model.name == "Tiny"


def test_a_folder_with_one_model(tmp_path, tiny):
    """As LM Studio keeps them: a projector and later parts are no models of their own."""
    for name in ("tiny.gguf", "mmproj-tiny.gguf", "notes.txt"):
        (tmp_path / name).write_bytes(tiny)
    assert load(str(tmp_path)).model.name == "Tiny"


def test_a_folder_with_more_models(tmp_path, tiny):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(tiny)
    with pytest.raises(BadInput, match="holds 2 GGUF models") as caught:
        load(str(tmp_path))
    assert "a.gguf" in caught.value.remedy


def test_a_folder_with_a_config_is_left_to_it(tmp_path, tiny):
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    (tmp_path / "config.json").write_text("{}")
    assert load(str(tmp_path)) is None


def test_in_the_home_directory(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    assert load("~/tiny.gguf").model.name == "Tiny"


@pytest.mark.parametrize("text", ["~nobody-of-that-name/model.gguf", "/nowhere/model.gguf", "model.GGUF"])
def test_files_that_are_not_there(text):
    with pytest.raises(BadInput, match="does not exist"):
        load(text)


NAMES = [
    "70b",
    "qwen3:8b",
    "meta-llama/Llama-3.1-8B",
    "tiny",
    "-",
    "config.json",
    "\0",
    "x" * 5000,
    "a/\0",
    "a/" + "x" * 5000,
]


@pytest.mark.parametrize("text", NAMES, ids=range(len(NAMES)))
def test_what_is_no_file_of_weights_is_left_to_the_catalogue(text, tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny").write_bytes(tiny)
    assert load(text) is None


CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "vocab_size": 3,
    "max_position_embeddings": 64,
}


def checkpoint(folder: Path) -> Path:
    table = {"lm_head.weight": {"dtype": "BF16", "shape": [3, 8], "data_offsets": [0, 48]}}
    text = json.dumps(table).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(48))
    return path


def test_a_checkpoint_beside_its_config(tmp_path):
    path = checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for text in (str(path), str(tmp_path)):
        found = load(text)
        assert found.model.hidden_size == 8
        assert found.weights.tensor_bytes == 48
        assert found.model.parameters == 24


def test_a_checkpoint_without_its_config(tmp_path):
    with pytest.raises(BadInput, match=r"config\.json"):
        load(str(checkpoint(tmp_path)))


def test_a_config_alone_is_left_to_the_reader_of_configs(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    assert load(str(path)) is None
    assert load(str(tmp_path)) is None


def test_addresses_are_read_from_their_servers(monkeypatch):
    def read_remote(text: str, _: object) -> None:
        raise BadInput(f"asked for {text}", "nothing")

    monkeypatch.setattr("fitcheck.sources.remote.read_remote", read_remote)
    for text in ("hf:a/b/c.gguf", "https://example.org/c.gguf", "http://example.org/c"):
        with pytest.raises(BadInput, match=f"asked for {text}"):
            load(text)
