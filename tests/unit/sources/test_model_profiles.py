"""Every file of profiles/models: well formed, sourced, and adding up to the published count."""

import dataclasses
import tomllib
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, create_model

from fitcheck.footprint.tensors import parameters
from fitcheck.schema.model import AltUp, Attention, Experts, Indexer, PerLayerEmbedding
from fitcheck.sources.catalog import FFNS, MIXERS, load_model
from fitcheck.sources.names import aliases, key
from fitcheck.sources.profiles import profile_path, stems
from fitcheck.sources.resolve import sizes, spellings

STRICT = ConfigDict(extra="forbid", strict=True)
STEMS = stems("models")
PARTS = MIXERS | FFNS


class ModelProfile(BaseModel):
    """The keys of a model's file, less its parts."""

    model_config = STRICT
    architecture: str = Field(min_length=2)
    hidden_size: PositiveInt
    layers: int = Field(ge=1, le=512)
    vocab_size: PositiveInt
    tied_embeddings: bool
    source: str | list[str] = Field(min_length=1)
    context_max: PositiveInt | None = None
    trained_ternary: bool = False
    published_in: str | None = None
    trained: bool = True
    norms: NonNegativeInt = 2
    extra_scalars: PositiveInt = 0
    rope_freqs: PositiveInt = 0
    nextn_layers: PositiveInt = 0
    nextn_vocabularies: PositiveInt = 0
    prediction: str = Field("", max_length=2)
    embedding_norm: bool = False
    output_norm: bool = True
    output_bias: bool = False
    norm_bias: bool = False
    hyper_connections: PositiveInt = 0
    residual_scores: bool = False
    mixers: str = ""
    ffns: str = ""
    blocks: str = ""
    parameters: PositiveInt | None = None
    parameters_note: str | None = None
    note: str | None = None
    aliases: list[str] = []


def _strict(part: type) -> type[BaseModel]:
    """A pydantic model with a dataclass's fields; whole numbers must be positive."""
    hints = {name: PositiveInt if hint is int else hint for name, hint in get_type_hints(part).items()}
    fields: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(part)
    }
    return create_model(part.__name__, __config__=STRICT, **fields)


def _table(stem: str) -> dict[str, Any]:
    return tomllib.loads(profile_path("models", stem).read_text(encoding="utf-8"))


@pytest.mark.parametrize("stem", STEMS)
def test_profile_is_well_formed(stem: str) -> None:
    table = _table(stem)
    for name, part in PARTS.items():
        given = table.pop(name, {})
        common = {field: value for field, value in given.items() if len(field) > 1}
        variants = [own for field, own in given.items() if len(field) == 1]
        for own in variants or ([common] if given else []):
            fields = common | own
            if indexer := fields.get("indexer"):
                fields["indexer"] = Indexer(**_strict(Indexer).model_validate(indexer).model_dump())
            _strict(part).model_validate(fields)
    for name, part in {"per_layer_embedding": PerLayerEmbedding, "altup": AltUp}.items():
        if given := table.pop(name, None):
            _strict(part).model_validate(given)
    ModelProfile.model_validate(table)


@pytest.mark.parametrize("stem", STEMS)
def test_shape_is_possible(stem: str) -> None:
    model = load_model(stem)
    assert len(model.layers) == _table(stem)["layers"]
    for layer in set(model.layers):
        assert layer.mixer is not None or layer.ffns
        for mixer in (layer.mixer, layer.beside):
            assert not isinstance(mixer, Attention) or mixer.heads % mixer.kv_heads == 0
        for ffn in layer.ffns:
            assert not isinstance(ffn, Experts) or ffn.active <= ffn.count


@pytest.mark.parametrize("stem", STEMS)
def test_layers_add_up_to_the_published_parameters(stem: str) -> None:
    """Within 0.01 %: FP8 scales and F32 buffers that publishers count or leave out. More needs a note."""
    model, explained = load_model(stem), _table(stem).get("parameters_note")
    if model.parameters is None:
        assert explained is None
        return
    off = abs(parameters(model) / model.parameters - 1)
    assert off < 1e-4 or explained, f"{parameters(model)} counted, {model.parameters} published"
    assert off < 0.21


# Checkpoints' own counts (Hugging Face, safetensors), or GGUF files' where they hold a rope_freqs table.
GOLDEN = {
    "bitnet-2b": 2412820480,
    "deepseek-v2-lite": 15706484224,
    "falcon3-7b": 7455550464,
    "gemma-2-9b": 9241705984,
    "gemma-3-27b": 27009346304,
    "gpt-oss-120b": 116829156672,
    "granite-4.0-h-tiny": 6939037248,
    "jamba-v0.1": 51570323328,
    "llama-3.1-70b": 70553706560,
    "llama-4-scout": 107769861184,
    "mixtral-8x22b": 140630071296,
    "nemotron-nano-9b-v2": 8888227328,
    "olmo-3-7b": 7298011136,
    "phi-3-medium-4k": 13960238080,
    "qwen2.5-72b": 72706203648,
    "qwen3-235b-a22b": 235093634560,
    "qwen3-next-80b-a3b": 79674391296,
    "smollm3-3b": 3075098624,
}


@pytest.mark.parametrize(("stem", "count"), GOLDEN.items())
def test_parameters_exactly(stem: str, count: int) -> None:
    assert parameters(load_model(stem)) == count


def test_catalogue_is_large_enough() -> None:
    assert len(STEMS) >= 200


def test_no_two_names_can_be_confused() -> None:
    """A spelling leads to one model: stems and aliases have keys of their own."""
    names = [(stem, stem) for stem in STEMS] + list(aliases("models"))
    owners: dict[tuple[str, ...], set[str]] = {}
    for stem, name in names:
        owners.setdefault(key(name), set()).add(stem)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


def test_cutting_endings_off_an_alias_leads_to_no_other_model() -> None:
    """File names are tried before aliases: no shortened alias may be another's file name."""
    by_key = {key(stem): stem for stem in STEMS}
    for stem, alias in aliases("models"):
        assert {by_key.get(key(spelling), stem) for spelling in spellings(alias)} == {stem}, alias


def test_aliases_are_read_as_toml_reads_them() -> None:
    """The quick look at the ``aliases`` line must not miss what the parser finds."""
    parsed = [(stem, alias) for stem in STEMS for alias in _table(stem).get("aliases", [])]
    assert list(aliases("models")) == parsed


def test_every_size_stands_for_a_model_of_about_that_size() -> None:
    for size, row in sizes().items():
        assert row["reason"]
        ratio = parameters(load_model(row["model"])) / (float(size[:-1]) * 1e9)
        assert 0.87 < ratio < 1.24, f"{size} stands for {row['model']}, {ratio:.2f} times as large"
