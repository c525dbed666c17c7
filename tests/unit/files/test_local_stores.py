"""Models of other programs: found where they keep them, and nothing breaks on what is strange there."""

import json
from pathlib import Path

import pytest

from fitcheck.sources import local_stores
from fitcheck.sources.gguf_file import read_gguf
from fitcheck.sources.local_stores import local_models

DIGEST = "sha256:" + "ab" * 32


def ollama(root: Path, name: str, tiny: bytes, digest: str = DIGEST) -> None:
    """A model as ``ollama pull`` leaves it."""
    manifest = root / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "0" * 64, "size": 1},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": len(tiny)},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "config": {}, "layers": layers}))
    blob = root / "blobs" / digest.replace(":", "-")
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(tiny)


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def found(home: Path, **environment: str) -> dict[str, str]:
    return {model.name: model.store for model in local_models(environment, home)}


def test_ollama_names_as_people_type_them(tmp_path, tiny):
    root = tmp_path / ".ollama" / "models"
    ollama(root, "registry.ollama.ai/library/llama3.1/70b", tiny)
    ollama(root, "registry.ollama.ai/someone/theirs/latest", tiny, "sha256:" + "cd" * 32)
    ollama(root, "hf.co/bartowski/Qwen3-GGUF/Q4_K_M", tiny, "sha256:" + "ef" * 32)
    assert found(tmp_path) == {
        "hf.co/bartowski/Qwen3-GGUF:Q4_K_M": "Ollama",
        "llama3.1:70b": "Ollama",
        "someone/theirs:latest": "Ollama",
    }
    path = next(m.path for m in local_models({}, tmp_path) if m.name == "llama3.1:70b")
    assert read_gguf(path).metadata["general.name"] == "Tiny"


def test_ollama_where_it_was_told_to_be(tmp_path, tiny):
    ollama(tmp_path / "elsewhere", "registry.ollama.ai/library/qwen3/8b", tiny)
    assert found(tmp_path / "home", OLLAMA_MODELS=str(tmp_path / "elsewhere")) == {"qwen3:8b": "Ollama"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"layers": 3}', '{"layers": [3, {}, {"mediaType": 1}]}', '{"layers": []}', "\xff"],
)
def test_ollama_manifests_that_are_none(tmp_path, tiny, text):
    root = tmp_path / ".ollama" / "models"
    ollama(root, "registry.ollama.ai/library/good/1b", tiny)
    put(root / "manifests" / "registry.ollama.ai" / "library" / "bad" / "1b", text.encode("latin-1"))
    assert found(tmp_path) == {"good:1b": "Ollama"}


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:abc", "md5:" + "ab" * 32])
def test_ollama_digests_never_lead_out_of_the_store(tmp_path, digest):
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/bad/1b"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    put(manifest, json.dumps({"layers": [layer]}).encode())
    assert found(tmp_path) == {}


def test_folders_of_lm_studio_jan_and_the_caches(tmp_path, tiny):
    for place in (
        ".lmstudio/models/bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf",
        ".lmstudio/models/bartowski/Qwen3-8B-GGUF/mmproj-Qwen3-8B-f16.gguf",
        ".lmstudio/models/big/Model-GGUF/Model-00001-of-00002.gguf",
        ".lmstudio/models/big/Model-GGUF/Model-00002-of-00002.gguf",
        ".cache/lm-studio/models/old/one/one.gguf",
        ".local/share/Jan/data/llamacpp/models/jan-nano/model.gguf",
        ".local/share/Jan/data/llamacpp/models/jan-nano/model.yml",
        "Library/Application Support/Jan/data/llamacpp/models/jan-v1/model.gguf",
        ".cache/llama.cpp/ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M.gguf",
        ".cache/huggingface/hub/models--unsloth--Qwen3-8B-GGUF/snapshots/0a1b/Qwen3-8B-Q8_0.gguf",
    ):
        put(tmp_path / place, tiny)
    assert found(tmp_path, LLAMA_CACHE=str(tmp_path / ".cache/llama.cpp")) == {
        "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M": "LM Studio",
        "big/Model-GGUF/Model-00001-of-00002": "LM Studio",
        "old/one/one": "LM Studio",
        "jan-nano": "Jan",
        "jan-v1": "Jan",
        "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M": "llama.cpp",
        "unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q8_0": "Hugging Face",
    }


def test_a_file_that_two_programs_share_is_listed_once(tmp_path, tiny):
    put(tmp_path / ".cache/huggingface/hub/models--a--b/blobs/123", tiny)
    link = tmp_path / ".cache/huggingface/hub/models--a--b/snapshots/0a/m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../blobs/123")
    other = tmp_path / ".lmstudio/models/a/b/m.gguf"
    other.parent.mkdir(parents=True)
    other.symlink_to(link)
    assert found(tmp_path) == {"a/b/m": "LM Studio"}


def test_nothing_there_is_no_error(tmp_path):
    assert found(tmp_path) == {}
    assert found(tmp_path / "missing") == {}


def test_links_in_circles_and_deep_folders_end(tmp_path, tiny, monkeypatch):
    listed = []
    entries = local_stores._entries
    monkeypatch.setattr(local_stores, "_entries", lambda folder: listed.append(folder) or entries(folder))
    root = tmp_path / ".lmstudio" / "models"
    put(root / "a" / "b" / "m.gguf", tiny)
    (root / "a" / "again").symlink_to(root)
    put(root / "/".join("x" * 40) / "deep.gguf", tiny)
    assert "a/b/m" in found(tmp_path)
    ours = [folder.resolve() for folder in listed if folder.is_relative_to(root)]
    assert len(ours) == len(set(ours)), "each folder once"
    assert max(len(folder.relative_to(root).parts) for folder in ours) == local_stores.DEEPEST


def test_folders_of_other_users_are_passed_over(open_folder, unprivileged, tiny):
    for publisher in ("a", "b"):
        put(open_folder / ".lmstudio/models" / publisher / "m/m.gguf", tiny)
    (open_folder / ".lmstudio/models/a").chmod(0)
    with unprivileged():
        assert found(open_folder) == {"b/m/m": "LM Studio"}
