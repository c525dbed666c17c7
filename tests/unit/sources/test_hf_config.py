"""A publisher's config.json -> the model of the catalogue, and what is wrong with bad ones."""

import contextlib
import io
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_configs import LLAMA3, PUBLISHED, shape

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.tensors import parameters, tensors
from fitcheck.schema.model import Model
from fitcheck.sources import hf_dense, hf_experts, hf_hybrid, hf_latent, hf_older, hf_own_names, hf_recent
from fitcheck.sources.catalog import load_model
from fitcheck.sources.hf_config import FAMILIES, load_config, model_from_config
from fitcheck.sources.json_fields import MOST, Fields, NotJson, parse_json


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_config_gives_the_catalogue_s_shape(name: str) -> None:
    known = load_model(name)
    found = model_from_config(Fields(PUBLISHED[name], "a test"), name)
    kept = {"source", "aliases", "note", "context_max", "parameters"}
    assert found == replace(known, **{field: getattr(found, field) for field in kept})
    assert parameters(found) == parameters(known)


CONFIGS = sorted(Path(__file__).with_name("configs").glob("*.json"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_publisher_s_config_gives_the_catalogue_s_model(path: Path) -> None:
    """Real files, less the fields that say nothing of the shape; each names where it was found."""
    known, real = load_model(path.stem), json.loads(path.read_text())
    assert real["source"]
    found = model_from_config(Fields(real["config"], path.stem), known.name)
    kept = {"source", "aliases", "note", "parameters"}
    assert found == replace(known, **{field: getattr(found, field) for field in kept})
    assert parameters(found) == parameters(known)


OTHERS = sorted(Path(__file__).with_name("other_configs").glob("*.json"))


def other(name: str) -> Model:
    """A publisher's config of a model that the catalogue doesn't have."""
    real = next(json.loads(path.read_text()) for path in OTHERS if path.stem == name)
    assert real["source"]
    return model_from_config(Fields(real["config"], name), name)


def test_layers_that_a_search_cut_down() -> None:
    """Nemotron Super: Llama 3.3 70B less 31 attentions, 49.9B parameters as published; and rope_freqs."""
    found = other("llama-3.3-nemotron-super-49b")
    assert sum(layer.mixer is not None for layer in found.layers) == 49
    assert {layer.ffns[0].size for layer in found.layers} == {2816, 5632, 7168, 14336, 17920, 28672}
    assert (found.layers[0].norms, found.layers[6].norms) == (2, 1)
    assert parameters(found) == 49_867_145_216 + 64


def _block(group: int | None, factor: float | None) -> dict[str, Any]:
    return {"attention": {"n_heads_in_group": group, "no_op": group is None}, "ffn": {"ffn_mult": factor}}


SEARCHED = {
    "model_type": "nemotron-nas", "hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 6,
    "vocab_size": 1024, "rope_scaling": LLAMA3,
    "block_configs": [
        _block(4, 2.625), _block(None, 2.625), _block(8, 5.25), _block(None, None), _block(4, 1.0),
        _block(None, 0.5),
    ],
}  # fmt: skip
SMALL_STABLELM = shape(
    "stablelm", 1024, 4, 8, 2, 2816, 1024, qk_layernorm=True, use_parallel_residual=True, use_qkv_bias=False
)
SMALL_GLM = shape("glm", 1024, 4, 8, 2, 2816, 1024, attention_bias=True)
SMALL_MAMBA2 = {
    "model_type": "mamba2", "num_heads": 64, "head_dim": 64, "vocab_size": 1024, "hidden_size": 2048,
    "state_size": 128, "num_hidden_layers": 3, "conv_kernel": 4, "n_groups": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "form", "size"),
    [
        (SEARCHED, "F16", 273_752_320),
        (SEARCHED, "Q4_K_M", 81_641_728),
        (SEARCHED, "Q2_K", 51_360_000),
        (SEARCHED, "IQ4_XS", 73_785_600),
        (SMALL_MAMBA2, "F16", 185_788_672),
        (SMALL_MAMBA2, "Q4_K_M", 53_119_232),
        (SMALL_MAMBA2, "Q2_K", 31_891_712),
        (SMALL_MAMBA2, "IQ4_XS", 50_288_896),
        (SMALL_STABLELM, "Q4_K_M", 28_495_872),
        (SMALL_STABLELM, "Q2_K", 17_903_616),
        (SMALL_GLM, "Q4_K_M", 28_495_872),  # its biases weigh what StableLM's norms of heads do
        (SMALL_GLM, "Q2_K", 17_903_616),
    ],
)
def test_files_that_llama_cpp_made_of_such_shapes(config: dict[str, Any], form: str, size: int) -> None:
    """Bytes of all tensors: b11434 loads F16 files of these shapes, and llama-quantize made the others."""
    assert weights_bytes(model_from_config(Fields(config, "a test"), "m"), form) == size


def test_a_model_that_sees_by_fields_of_its_own() -> None:
    """Qwen2.5-VL beside its vision_config; Janus keeps a Llama in language_config."""
    known = load_model("qwen2.5-7b")
    found = other("qwen2.5-vl-7b")
    assert (found.layers, found.vocab_size, found.architecture) == (known.layers, known.vocab_size, "qwen2vl")
    janus = other("janus-1.3b")
    assert (len(janus.layers), janus.hidden_size, janus.vocab_size) == (24, 2048, 102400)


def test_glm_by_its_names_in_transformers() -> None:
    """GLM-4 with three tensors in place of one; those that see are the same but for the picture."""
    old = load_model("glm-4-9b").layers[0]
    apart = replace(old, mixer=replace(old.mixer, fused_qkv=False))
    assert set(other("glm-4-9b-chat-hf").layers) == {apart}
    assert other("glm-4.1v-9b").layers == load_model("glm-4-9b-0414").layers
    seen = other("glm-4.5v")
    assert (seen.layers, seen.nextn_layers) == (load_model("glm-4.5-air").layers, 0)


def test_mamba_2_alone() -> None:
    found = other("mamba-codestral-7b")
    assert round(parameters(found) / 1e9, 1) == 7.3  # as published


def test_a_llama_by_another_name() -> None:
    found = other("internlm3-8b")
    assert found.architecture == "llama" and found.layers[0].mixer.kv_heads == 2
    assert round(parameters(found) / 1e9, 1) == 8.8  # as published


def test_norms_by_head_and_parts_side_by_side() -> None:
    """StableLM 2 12B: a weight for each element of each head (transformers' StableLmLayerNormPerHead)."""
    config = shape(
        "stablelm", 5120, 40, 32, 8, 13824, 100352, qk_layernorm=True, use_parallel_residual=True,
        use_qkv_bias=False,
    )  # fmt: skip
    found = model_from_config(Fields(config, "a test"), "m")
    norms = {g.tensor.name: g.tensor.weights for g in tensors(found) if g.tensor.part == "norm"}
    assert norms["norms"] == 2 * 5120
    assert 32 * 160 in norms.values() and 8 * 160 in norms.values()


ALIKE = {"minimax_m3_vl", "qwen2_5_vl_text", "qwen2_vl", "qwen2_vl_text"}  # other names of families that are


def test_no_family_stands_twice() -> None:
    rooms = (hf_dense, hf_experts, hf_hybrid, hf_latent, hf_older, hf_own_names, hf_recent)
    assert sum(len(room.FAMILIES) for room in rooms) == len(FAMILIES)


def test_every_family_is_held_to_a_model() -> None:
    inner = [config.get("text_config") or config for config in EVERY.values()]
    assert set(FAMILIES) - {config["model_type"] for config in inner} == ALIKE


def test_the_language_model_of_one_that_sees() -> None:
    """Gemma 3 4B as published: most fields are left to transformers' defaults."""
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240}
    text |= {"num_hidden_layers": 34, "sliding_window": 1024}
    found = model_from_config(Fields({"model_type": "gemma3", "text_config": text}, "a test"), "m")
    assert found.layers == load_model("gemma-3-4b").layers
    assert parameters(found) == 3880263168


def test_layer_types_say_which_layers_see_all() -> None:
    types_ = ["sliding_attention", "full_attention", "full_attention"]
    config = shape("gemma3_text", 64, 3, 4, 1, 128, 100, head_dim=16, sliding_window=8, layer_types=types_)
    found = model_from_config(Fields(config, "a test"), "m")
    assert [layer.mixer.window for layer in found.layers] == [8, None, None]


SOUND = PUBLISHED["llama-3.1-70b"]


@pytest.mark.parametrize("said", [LLAMA3, {"full_attention": LLAMA3, "sliding_attention": {}}])
def test_scaling_as_transformers_5_writes_it(said: dict[str, Any]) -> None:
    config = {key: value for key, value in SOUND.items() if key != "rope_scaling"} | {"rope_parameters": said}
    assert model_from_config(Fields(config, "a test"), "m").rope_freqs == 64


def test_longrope_keeps_both_its_factors() -> None:
    scaling = {"type": "longrope", "long_factor": [1.0] * 48, "short_factor": [1.0] * 48}
    config = shape("phi3", 3072, 32, 32, 32, 8192, 32064, rope_scaling=scaling)
    found = model_from_config(Fields(config, "a test"), "m")
    assert found.rope_freqs == load_model("phi-3.5-mini").rope_freqs


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"hidden_size": None}, "has no hidden_size"),
    "negative": ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
    "zero": ({"vocab_size": 0}, "vocab_size is 0"),
    "text": ({"hidden_size": "8192"}, 'hidden_size is "8192", not a whole number'),
    "fraction": ({"hidden_size": 81.92}, "not a whole number"),
    "infinite": ({"hidden_size": float("inf")}, "not a whole number"),
    "truth": ({"hidden_size": True}, "not a whole number"),
    "huge": ({"vocab_size": MOST + 1}, "must lie between"),
    "enormous": ({"vocab_size": 10**5000}, "must lie between"),
    "deep": ({"num_hidden_layers": 10**6}, "must lie between"),
    "list": ({"intermediate_size": [1, 2]}, "not a whole number"),
    "uneven heads": ({"num_key_value_heads": 7}, "can't share"),
    "uneven width": ({"hidden_size": 8191}, "no multiple"),
    "flag": ({"tie_word_embeddings": "yes"}, "not true or false"),
    "kind": ({"model_type": "perceptron"}, "'perceptron' is not known"),
    "no kind": ({"model_type": None}, "has no model_type"),
    "kind as number": ({"model_type": 3}, "not a text"),
    "scaling": ({"rope_scaling": 8}, "not an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str) -> None:
    change, message = WRONG[case]
    with pytest.raises(BadInput) as caught:
        model_from_config(Fields(SOUND | change, "config.json"), "m")
    assert message in caught.value.message
    assert caught.value.message.startswith("config.json")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_experts_per_tok": 200}, "can't pass through"),
        ({"mlp_only_layers": [0]}, "dense layers"),
        ({"decoder_sparse_step": 2}, "dense layers"),
    ],
)
def test_impossible_experts(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        model_from_config(Fields(PUBLISHED["qwen3-30b-a3b"] | change, "config.json"), "m")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


REAL = {path.stem: json.loads(path.read_text())["config"] for path in (*CONFIGS, *OTHERS)}
EVERY = PUBLISHED | REAL
INSIDE = ("text_config", "attn_config", "ffn_config", "linear_attn_config", "attention_other_setting")


@given(st.sampled_from(sorted(EVERY)), st.data())
def test_any_junk_is_a_model_or_bad_input(name: str, data: st.DataObject) -> None:
    sound = EVERY[name]
    fields = st.sampled_from([*sound, "head_dim", "text_config", "layer_types", "rope_scaling"])
    junk = data.draw(st.dictionaries(fields, JUNK, min_size=1, max_size=3))
    if (inside := data.draw(st.sampled_from(INSIDE))) in sound:
        within = st.sampled_from(sorted(sound[inside]))
        junk[inside] = sound[inside] | data.draw(st.dictionaries(within, JUNK, max_size=3))
    try:
        parameters(model_from_config(Fields(sound | junk, "config.json"), "m"))
    except BadInput as error:
        assert "\n" not in error.message


@pytest.mark.parametrize("name", sorted(EVERY))
def test_no_number_makes_a_reader_run_away(name: str) -> None:
    """Every whole number as large as any may be, one by one: an error, or few enough layers to size."""
    sound = EVERY[name]
    tables = [(None, sound), *((key, sound[key]) for key in INSIDE if key in sound)]
    for inside, table in tables:
        for field in (key for key, value in table.items() if isinstance(value, int)):
            changed = table | {field: MOST}
            config = changed if inside is None else sound | {inside: changed}
            with contextlib.suppress(BadInput):
                found = model_from_config(Fields(config, "config.json"), "m")
                assert max(len(found.layers), found.nextn_layers) <= 2048, field
                assert parameters(found) > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"\x1f\x8b\x08\x00gzip", "is no JSON but a gzip archive"),
        (b"<!DOCTYPE html><html></html>", "is no JSON but a web page"),
        (b"\x80\x02}q\x00", "is no JSON but a pickled PyTorch checkpoint"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[1, 2]", "holds no JSON object"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"hidden_size": ' + b"9" * 10_000 + b"}", "is no JSON"),
        (b" " * (5 << 20), "too large"),
    ],
    ids=["empty", "gzip", "html", "pickle", "not utf-8", "list", "nested deeply", "endless number", "5 MiB"],
)
def test_files_that_are_no_config(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load_config(str(path))


def test_what_publishers_write_is_taken() -> None:
    """A Mamba's config has Infinity, some a name twice, some a byte order mark; other files may not."""
    text = b'\xef\xbb\xbf{"time_step_limit": [0.0, Infinity], "a": 1, "a": 2}'
    assert parse_json(text, lenient=True) == {"time_step_limit": [0.0, float("inf")], "a": 2}
    for strict in (text, text[3:], b'{"a": 1, "a": 2}'):
        with pytest.raises(NotJson):
            parse_json(strict)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no config"):
        load_config(str(tmp_path))
    with pytest.raises(BadInput, match="is no file"):
        load_config(str(tmp_path / "none.json"))


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(json.dumps(SOUND).encode())
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=data))
    found = load_config("-")
    assert (found.name, found.source) == ("stdin", "stdin")
    assert found.layers == load_model("llama-3.1-70b").layers


def test_a_file_is_named_after_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SOUND), encoding="utf-8")
    (tmp_path / "mine.json").write_text(json.dumps(SOUND), encoding="utf-8")
    assert load_config(str(tmp_path)).name == tmp_path.name
    assert load_config(str(tmp_path / "mine.json")).name == "mine"
    said = SOUND | {"_name_or_path": "org/its-name"}
    (tmp_path / "mine.json").write_text(json.dumps(said), encoding="utf-8")
    assert load_config(str(tmp_path / "mine.json")).name == "its-name"
