"""What people type -> the model they mean, or an error that helps."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput, FitcheckError, UnknownName
from fitcheck.sources import catalog, names, profiles
from fitcheck.sources.profiles import stems
from fitcheck.sources.resolve import resolve, resolve_model

MEANT = {
    "70b": "llama-3.1-70b",
    "70B": "llama-3.1-70b",
    "1b": "llama-3.2-1b",
    "3b": "llama-3.2-3b",
    "7b": "llama-2-7b",
    "8b": "llama-3.1-8b",
    "13b": "llama-2-13b",
    "30b": "llama-30b",
    "32b": "qwen3-32b",
    "100b": "bitnet-dummy-100b",
    "405b": "llama-3.1-405b",
    "qwen3-32b": "qwen3-32b",
    "Qwen3 32B": "qwen3-32b",
    "llama3.1:70b": "llama-3.1-70b",
    "llama3.1:70b-instruct": "llama-3.1-70b",
    "meta-llama/Llama-3.1-70B-Instruct": "llama-3.1-70b",
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3.1-70b",
    "unsloth/Qwen3-32B-GGUF": "qwen3-32b",
    "hf.co/unsloth/Qwen3-32B-GGUF:Q4_K_M": "qwen3-32b",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": "llama-3.1-70b",
    "deepseek-ai/DeepSeek-R1-0528": "deepseek-v3",
    "microsoft/bitnet-b1.58-2B-4T-gguf": "bitnet-2b",
    "google/gemma-3-27b-it": "gemma-3-27b",
    "gemma3:27b-it-qat": "gemma-3-27b",
    "gpt-oss:20b": "gpt-oss-20b",
    "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ": "qwen2.5-7b",
    "ibm-granite/granite-4.0-h-tiny": "granite-4.0-h-tiny",
    "granite-4-h-tiny": "granite-4.0-h-tiny",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistral-7b-v0.3",
}


@pytest.mark.parametrize(("typed", "meant"), MEANT.items())
def test_resolves(typed: str, meant: str) -> None:
    assert resolve_model(typed).name == meant


@pytest.mark.parametrize(
    ("typed", "format"),
    [
        ("qwen3:32b-q4_K_M", "q4_K_M"),
        ("llama3.1:70b-instruct-q8_0", "q8_0"),
        ("llama3.1:8b-instruct-fp16", "fp16"),
        ("Qwen3-30B-A3B-Instruct-2507-UD-Q4_K_XL", "Q4_K_XL"),
        ("bitnet-2b-TQ1_0", "TQ1_0"),
        ("qwen3-32b", None),
    ],
)
def test_a_name_may_carry_a_format(typed: str, format: str | None) -> None:
    assert resolve(typed).format == format


def test_says_how_it_was_found() -> None:
    assert resolve("qwen3-32b").resolved_from is None
    assert resolve("70b").resolved_from == "70b"
    assert "3.3" in (resolve("70b").reason or "")


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("qwen3-17b", "qwen3-1.7b"),
        ("lama-3.1-70b", "llama-3.1-70b"),
        ("qwen3-33b", "qwen3-32b"),
        ("llama-3.1-70b-a-merge-of-mine", "llama-3.1-70b"),
        ("qwen3", "qwen3-8b"),
        ("999b", ""),
    ],
)
def test_unknown_names_get_the_three_nearest(typed: str, suggested: str) -> None:
    with pytest.raises(UnknownName, match="no model is called") as caught:
        resolve(typed)
    named = caught.value.remedy.split("did you mean ")[1].split("?")[0].split(", ")
    assert len(named) == 3
    assert set(named) <= set(stems("models"))
    assert not suggested or suggested in named


@pytest.mark.parametrize("typed", ["", "   ", "a\x00b", "x" * 5000, "\n"])
def test_what_is_no_name(typed: str) -> None:
    with pytest.raises(BadInput, match="can't be a name"):
        resolve(typed)


@given(st.text(max_size=60).filter(lambda text: text != "-"))
def test_any_text_is_a_model_or_a_typed_error(text: str) -> None:
    try:
        assert resolve(text).model.layers
    except FitcheckError as error:
        assert error.remedy


@given(st.sampled_from(stems("models")), st.sampled_from(["-", " ", "_", ":"]), st.booleans())
def test_case_and_punctuation_do_not_matter(stem: str, joint: str, upper: bool) -> None:
    typed = stem.replace("-", joint)
    assert resolve_model(typed.upper() if upper else typed).name == stem


@pytest.mark.parametrize("typed", ["qwen3-32b", "70b", "llama3.1:70b"])
def test_a_plain_name_reads_one_model_file(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counting(path: Path) -> profiles.Table:
        read.append(path)
        return profiles.read_toml(path)

    monkeypatch.setattr(catalog, "read_toml", counting)
    monkeypatch.setattr(names, "aliases", lambda kind: pytest.fail("looked into every file"))
    resolve(typed)
    assert len(read) == 1


def test_a_gguf_file_resolves_to_its_shape_and_its_weights(tiny_gguf: Path) -> None:
    found = resolve(str(tiny_gguf))
    assert found.file is not None
    assert found.file.tensor_bytes == 4 * (2 * 96 * 64 + 3 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64)
    assert len(found.model.layers) == 1
    assert found.model.vocab_size == 96


def test_a_missing_gguf_file_is_said() -> None:
    with pytest.raises(BadInput, match="does not exist"):
        resolve("model-Q4_K_M.gguf")


def test_a_config_resolves_by_path(tmp_path: Path) -> None:
    config = {"model_type": "llama", "hidden_size": 64, "vocab_size": 100, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "intermediate_size": 128}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for typed in (str(tmp_path), str(tmp_path / "config.json")):
        found = resolve(typed)
        assert found.model.name == tmp_path.name
        assert found.resolved_from == typed


def test_a_word_is_a_name_even_where_a_directory_bears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "70b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model("70b").name == "llama-3.1-70b"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(BadInput, match="is no file"):
        resolve(str(tmp_path / "config.json"))
