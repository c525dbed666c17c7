"""From a GGUF file to the Model: every model of the catalogue, written as its file, is read back."""

from collections import Counter
from collections.abc import Iterator
from math import prod

import pytest

from fitcheck.errors import BadInput
from fitcheck.footprint.mechanisms import Tensor
from fitcheck.footprint.tensors import TensorGroup, layout, parameters
from fitcheck.schema.model import (
    Attention,
    CompressedAttention,
    Experts,
    GatedDeltaNet,
    LatentAttention,
    Mamba,
    Mamba2,
    Model,
    Rwkv6,
    Rwkv7,
)
from fitcheck.sources.catalog import load_model
from fitcheck.sources.gguf_file import parse_gguf, read_gguf
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.gguf_weights import file_weights
from fitcheck.sources.profiles import profiles_directory

CATALOGUE = sorted(path.stem for path in (profiles_directory() / "models").glob("*.toml"))

F16, F32 = 1, 0
NORMS = (
    *("attn_norm.weight", "ffn_norm.weight", "post_attention_norm.weight", "post_ffw_norm.weight"),
    *("attn_norm_2.weight", "pre_ffw_norm_2.weight", "post_ffw_norm_1.weight"),
    "post_ffw_norm_2.weight",
)
NEXTN_NORMS = ("nextn.enorm.weight", "nextn.hnorm.weight", "nextn.shared_head_norm.weight")
NEXTN_VOCABULARIES = ("nextn.embed_tokens.weight", "nextn.shared_head_head.weight")
# What the footprint counts together, and what files call each of them.
TOGETHER = {
    "norms": NORMS,
    "nextn.norms": NEXTN_NORMS,
    "nextn.vocabulary.weight": NEXTN_VOCABULARIES,
    "channel_mix_lerp": ("channel_mix_lerp_k.weight", "channel_mix_lerp_r.weight"),
    "time_mix_ln": ("time_mix_ln.weight", "time_mix_ln.bias"),
    "time_mix_lerp": tuple(f"time_mix_lerp_{role}.weight" for role in "xwkvrg"),
    "time_mix_biases": tuple(f"time_mix_{role}.weight" for role in ("w0", "a0", "v0", "k_k", "k_a", "r_k")),
}
BIASED = tuple(name.replace("weight", ending) for name in NORMS for ending in ("weight", "bias"))
# Vectors that files keep as matrices of one column or one row.
MATRICES = ("ssm_a", "ssm_d", "shortconv.conv.weight")


def as_gguf(model: Model, draft):
    """The model's file, as a converter would write it: F16 matrices, F32 vectors."""
    made = draft(metadata=metadata(model))
    for group in layout(model).groups:
        for name, shape in tensors(group, model.norm_bias):
            type_, size = (F32, 4) if group.tensor.keep else (F16, 2)
            made.add(name, shape, type_, prod(shape) * size)
    return made


def tensors(group: TensorGroup, biased: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The group's tensors by name and shape; norms that also shift have two each."""
    tensor = group.tensor
    together = TOGETHER | ({"norms": BIASED} if biased else {})
    if not group.layers and tensor.name.endswith("_norm.weight") and tensor.rows == 2:
        yield from ((tensor.name.replace("weight", ending), (tensor.cols,)) for ending in ("weight", "bias"))
        return
    if not group.layers:
        yield tensor.name, shape_of(tensor)
        return
    seen: Counter[int] = Counter()
    for layer in group.layers:
        if tensor.name == "scalars":
            yield f"blk.{layer}.layer_output_scale.weight", (1,)
            if tensor.cols > 1:
                yield f"blk.{layer}.ffn_down_exps.scale", (tensor.cols - 1,)
            continue
        if tensor.name not in together:
            yield f"blk.{layer}.{tensor.name}", shape_of(tensor)
            continue
        many = tensor.rows if tensor.name != "nextn.vocabulary.weight" else 1
        shape = (tensor.cols,) if many == tensor.rows else (tensor.cols, tensor.rows)
        for _ in range(many):
            yield f"blk.{layer}.{together[tensor.name][seen[layer]]}", shape
            seen[layer] += 1


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    shape = (tensor.cols, tensor.rows, tensor.stack)
    while len(shape) > 1 and shape[-1] == 1 and tensor.name not in MATRICES:
        shape = shape[:-1]
    return shape


def metadata(model: Model) -> dict[str, object]:
    """What converters write beside the tensors (gguf-py's constants), for every kind of layer."""
    arch = model.architecture
    written: dict[str, object] = {
        "block_count": len(model.layers) + model.nextn_layers,
        "embedding_length": model.hidden_size,
        "context_length": model.context_max or 0,
        "nextn_predict_layers": model.nextn_layers,
        "hyper_connection.count": model.hyper_connections or None,
    }
    for kind in (attention, latent, compressed, recurrent, experts):
        written |= kind(model)
    return {"general.architecture": arch, "general.name": model.name} | {
        f"{arch}.{key}": value for key, value in written.items() if value is not None
    }


def attention(model: Model) -> dict[str, object]:
    mixers = [layer.mixer for layer in model.layers]
    found = [mixer if isinstance(mixer, Attention) else None for mixer in mixers]
    if not any(found):
        return {}
    full = next((a for a in found if a and a.window is None), None)
    windowed = next((a for a in found if a and a.window is not None), None)
    either = full or windowed
    sizes = {"": full or windowed, "_swa": windowed or full}
    written: dict[str, object] = {
        "attention.head_count": [a.heads if a else 0 for a in found] + [either.heads] * model.nextn_layers,
        "attention.head_count_kv": [a.kv_heads if a else 0 for a in found] + [1] * model.nextn_layers,
        "attention.shared_kv_layers": sum(a is not None and not a.owns_kv for a in found) or None,
    }
    for ending, a in sizes.items():
        written[f"attention.key_length{ending}"] = a.head_dim
        written[f"attention.value_length{ending}"] = a.value_dim or a.head_dim
    if windowed:
        written["attention.sliding_window"] = windowed.window
        written["attention.sliding_window_pattern"] = [bool(a and a.window) for a in found]
    return written


def latent(model: Model) -> dict[str, object]:
    found = next((la.mixer for la in model.layers if isinstance(la.mixer, LatentAttention)), None)
    if found is None:
        return {}
    head = found.nope_head_dim + found.rope_head_dim
    return {
        "attention.head_count": found.heads,
        "attention.head_count_kv": 1,
        "attention.key_length": head if found.expanded else found.kv_lora_rank + found.rope_head_dim,
        "attention.value_length": found.value_dim if found.expanded else found.kv_lora_rank,
        "attention.kv_lora_rank": found.kv_lora_rank,
        "attention.key_length_mla": None if found.expanded else head,
        "attention.value_length_mla": None if found.expanded else found.value_dim,
    }


def compressed(model: Model) -> dict[str, object]:
    found = next((la.mixer for la in model.layers if isinstance(la.mixer, CompressedAttention)), None)
    if found is None:
        return {}
    return {
        "attention.head_count": found.heads,
        "attention.head_count_kv": 1,
        "attention.key_length": found.head_dim,
        "attention.sliding_window": found.window,
        "attention.output_group_count": found.output_groups,
    }


def recurrent(model: Model) -> dict[str, object]:
    for layer in model.layers:
        mixer = layer.beside or layer.mixer
        if isinstance(mixer, Rwkv6 | Rwkv7):
            return {"wkv.head_size": mixer.head_dim}
        if isinstance(mixer, Mamba):
            return ssm(mixer.inner_size, mixer.state_size, mixer.dt_rank, None)
        if isinstance(mixer, Mamba2):
            return ssm(mixer.heads * mixer.head_dim, mixer.state_size, mixer.heads, mixer.groups)
        if isinstance(mixer, GatedDeltaNet):
            inner = mixer.value_heads * mixer.value_head_dim
            return ssm(inner, mixer.key_head_dim, mixer.value_heads, mixer.key_heads)
    return {}


def ssm(inner: int, state: int, rank: int, groups: int | None) -> dict[str, object]:
    sizes = {"inner_size": inner, "state_size": state, "time_step_rank": rank, "group_count": groups}
    return {f"ssm.{key}": value for key, value in sizes.items()}


def experts(model: Model) -> dict[str, object]:
    found = [ffn for layer in model.layers for ffn in layer.ffns if isinstance(ffn, Experts)]
    return {"expert_count": found[0].count, "expert_used_count": found[0].active} if found else {}


@pytest.mark.parametrize("stem", CATALOGUE)
def test_a_catalogue_model_written_as_its_file_is_read_back_as_it_was(stem, draft, tmp_path):
    model = load_model(stem)
    file = read_gguf(as_gguf(model, draft).write(tmp_path / "model.gguf"))
    read = model_of(file)
    for number, (ours, theirs) in enumerate(zip(read.layers, model.layers, strict=True)):
        assert ours == theirs, f"layer {number}"
    assert read.note is None
    for name in KEPT:
        assert getattr(read, name) == getattr(model, name), name
    assert read.parameters == parameters(model)


KEPT = (
    *("architecture", "name", "hidden_size", "vocab_size", "tied_embeddings", "context_max", "nextn_layers"),
    *("rope_freqs", "per_layer_embedding", "embedding_norm", "output_norm", "output_bias", "norm_bias"),
    *("altup", "hyper_connections", "residual_scores"),
)


# The footprint counts an attention's small vectors among the norms.
BESIDE = {"norm": "attention"}


@pytest.mark.parametrize("stem", CATALOGUE)
def test_what_the_file_holds_and_decode_reads_is_what_the_shape_says(stem, draft, tmp_path):
    """Two counts of the same thing: by tensors' names in the file, by mechanisms in the footprint."""
    model = load_model(stem)
    file = read_gguf(as_gguf(model, draft).write(tmp_path / "model.gguf"))
    found: Counter[str] = Counter()
    for group in file_weights(file).groups:
        if group.part != "prediction":
            part = BESIDE.get(group.part, group.part)
            found[f"{part} held"] += group.weights
            found[f"{part} read"] += group.weights_read
        assert (group.part == "prediction") <= (group.bytes_read == 0)
    expected: Counter[str] = Counter()
    for group in layout(model).groups:
        if not group.unused:
            part = BESIDE.get(group.tensor.part, group.tensor.part)
            expected[f"{part} held"] += group.tensor.weights * group.tensors
            expected[f"{part} read"] += group.tensor.weights_read * group.tensors
    assert found == expected


def block(draft, architecture: str, layers: int, **metadata: object):
    """An attention model of that architecture, 64 wide with heads of 16."""
    said = {
        "block_count": layers,
        "embedding_length": 64,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    made = draft(
        metadata={"general.architecture": architecture}
        | {f"{architecture}.{key.replace('__', '.')}": value for key, value in (said | metadata).items()}
    )
    made.add("token_embd.weight", (64, 10), F16, 1280)
    for layer in range(layers):
        for name, rows in (("attn_q", 64), ("attn_k", 32), ("attn_v", 32), ("attn_output", 64)):
            made.add(f"blk.{layer}.{name}.weight", (64, rows), F16, 128 * rows)
    return made


def windows_of(made) -> list[int | None]:
    return [layer.mixer.window for layer in model_of(parse_gguf(made.bytes())).layers]


@pytest.mark.parametrize(
    ("architecture", "layers", "pattern"),
    [
        ("gemma2", 4, "W-W-"),
        ("gemma3", 7, "WWWWW-W"),
        ("gemma3n", 6, "WWWW-W"),
        ("gpt-oss", 4, "W-W-"),
        ("cohere2", 8, "WWW-WWW-"),
        ("cohere2moe", 5, "-WWW-"),
        ("olmo2", 4, "WWW-"),
        ("llama", 4, "----"),
        ("phi3", 4, "----"),
        ("something-new", 4, "----"),
    ],
)
def test_windows_where_the_file_leaves_the_pattern_to_the_engine(draft, architecture, layers, pattern):
    made = block(draft, architecture, layers, attention__sliding_window=512)
    assert windows_of(made) == [512 if letter == "W" else None for letter in pattern]


def test_windows_without_a_size(draft):
    assert windows_of(block(draft, "gemma2", 2)) == [4096, None]
    assert windows_of(block(draft, "llama4", 4, attention__sliding_window=123)) == [8192] * 3 + [None]
    assert windows_of(block(draft, "llama4", 4, attention__sliding_window=0)) == [None] * 4
    assert windows_of(block(draft, "gemma3", 2)) == [None] * 2
    assert windows_of(block(draft, "exaone4", 30, attention__sliding_window=4096)) == [None] * 30
    assert windows_of(block(draft, "exaone4", 64)).count(4096) == 48


def test_a_pattern_in_the_file_comes_first(draft):
    said = {"attention__sliding_window": 64, "attention__sliding_window_pattern": [False, True, True]}
    assert windows_of(block(draft, "gemma2", 3, **said)) == [None, 64, 64]
    assert windows_of(block(draft, "something-new", 3, **said)) == [None, 64, 64]
    said["attention__sliding_window_pattern"] = 3
    assert windows_of(block(draft, "gemma2", 3, **said)) == [64, 64, None]


def test_heads_default_as_engines_have_them(draft):
    made = block(draft, "llama", 1)
    del made.metadata["llama.attention.head_count_kv"]
    mixer = model_of(parse_gguf(made.bytes())).layers[0].mixer
    assert (mixer.heads, mixer.kv_heads, mixer.head_dim) == (4, 4, 16)


def test_attention_without_sizes_is_an_error_that_says_what_the_weights_weigh(draft):
    made = block(draft, "novel", 2)
    del made.metadata["novel.attention.head_count"], made.metadata["novel.attention.head_count_kv"]
    file = parse_gguf(made.bytes())
    assert file_weights(file).tensor_bytes == 1280 + 2 * 128 * 192
    with pytest.raises(BadInput, match="layers with the sizes of its Attention: their cache") as refused:
        model_of(file)
    assert "its weights are 0.00 GB exactly" in refused.value.remedy


@pytest.mark.parametrize(
    "tensor", ["time_mix_key.weight", "ssm_f_a.weight", "wkv_b.weight", "attn_kv.weight"]
)
def test_a_mixer_of_its_own_kind_is_never_counted_as_an_empty_cache(draft, tensor):
    made = draft(metadata={"general.architecture": "x", "x.block_count": 1, "x.embedding_length": 64})
    made.add("token_embd.weight", (64, 10), F16, 1280).add(f"blk.0.{tensor}", (64, 64), F16, 8192)
    with pytest.raises(BadInput, match=rf"a mixer of its own kind \({tensor}\)"):
        model_of(parse_gguf(made.bytes()))


@pytest.mark.parametrize(("heads", "sizes"), [([2, 0], [64, 0]), ([2, 2], [64, 0]), (2, 64)])
def test_a_layer_of_which_nothing_is_left(draft, heads, sizes):
    """Nemotron Ultra's: the file says so for each layer; otherwise tensors are missing."""
    said = {
        "block_count": 2,
        "embedding_length": 64,
        "attention.head_count": heads,
        "feed_forward_length": sizes,
    }
    said |= {"attention.head_count_kv": heads}
    metadata = {"general.architecture": "deci"} | {f"deci.{key}": value for key, value in said.items()}
    made = draft(metadata=metadata)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        made.add(f"blk.0.{name}.weight", (64, 64), F16, 8192)
    if heads == [2, 0]:
        full, empty = model_of(parse_gguf(made.bytes())).layers
        assert full.mixer.heads == 2 and (empty.mixer, empty.ffns, empty.norms) == (None, (), 0)
    else:
        with pytest.raises(BadInput, match="claims 2 layers and holds the tensors of 1"):
            model_of(parse_gguf(made.bytes()))


def test_layers_of_feed_forward_parts_alone_keep_nothing(draft):
    """Nemotron-H's, and Deci's whose attention is one matrix."""
    made = draft(
        metadata={"general.architecture": "deci", "deci.block_count": 1, "deci.embedding_length": 64}
    )
    for name in ("attn_norm", "ffn_norm"):
        made.add(f"blk.0.{name}.weight", (64,), F32, 256)
    for name in ("attn_output", "ffn_up", "ffn_down"):
        made.add(f"blk.0.{name}.weight", (64, 64), F16, 8192)
    assert model_of(parse_gguf(made.bytes())).layers[0].mixer is None


@pytest.mark.parametrize(
    "tensors",
    [
        ("ssm_ba.weight",),
        ("ssm_beta.weight", "attn_qkv.weight"),
        ("ssm_x.weight", "ssm_conv1d.weight"),
        ("ssm_in.weight", "ssm_conv1d.weight", "ssm_out.weight"),
        ("attn_kv_a_mqa.weight", "attn_k_b.weight"),
        ("ffn_down_exps.weight",),
        ("ffn_down.0.weight", "ffn_down.1.bias"),
    ],
)
@pytest.mark.parametrize("shape", [(), (8,)])
def test_a_layer_that_lacks_tensors_or_their_dimensions(draft, tensors, shape):
    """Found by the fuzzer: a layer known by one tensor was read by another that wasn't there."""
    made = draft(metadata={"general.architecture": "x", "x.block_count": 1, "x.embedding_length": 8})
    for name in tensors:
        made.add(f"blk.0.{name}", shape, F32, 4 * prod(shape))
    file = parse_gguf(made.bytes())
    if not tensors[0].startswith("ffn_"):
        with pytest.raises(BadInput, match="the sizes of its "):
            model_of(file)
        return
    model = model_of(file)
    known = model.layers[0].ffns != ()
    assert known == (shape == (8,) and tensors[0] == "ffn_down.0.weight")
    assert known or model.note.startswith("weights are exact; unknown to fitcheck: ")


def test_latent_attention_of_old_files_caches_whole_heads(draft):
    """Before April 2025 converters wrote attn_kv_b whole, and engines keep K and V of all heads for it."""
    made = block(draft, "deepseek2", 1, attention__key_length=192, attention__value_length=128)
    made.metadata["deepseek2.attention.kv_lora_rank"] = 512
    made.metadata["deepseek2.attention.head_count_kv"] = 4
    made.add("blk.0.attn_kv_a_mqa.weight", (64, 576), F16, 2 * 64 * 576)
    mixer = model_of(parse_gguf(made.bytes())).layers[0].mixer
    assert mixer.expanded
    assert (mixer.heads, mixer.nope_head_dim + mixer.rope_head_dim, mixer.value_dim) == (4, 192, 128)


def test_experts_in_a_tensor_each(draft):
    """Mixtral files of before April 2024."""
    made = block(draft, "llama", 1, expert_count=8, expert_used_count=2)
    made.add("blk.0.ffn_gate_inp.weight", (64, 8), F32, 2048)
    for expert in range(8):
        for name, shape in (("gate", (64, 96)), ("down", (96, 64)), ("up", (64, 96))):
            made.add(f"blk.0.ffn_{name}.{expert}.weight", shape, F16, 12288)
    file = parse_gguf(made.bytes())
    assert model_of(file).layers[0].ffns == (Experts(count=8, active=2, size=96),)
    experts = next(g for g in file_weights(file).groups if g.part == "experts" and g.type == "F16")
    assert (experts.bytes, experts.bytes_read) == (24 * 12288, 6 * 12288)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("general.type", "adapter", "a LoRA adapter"),
        ("general.type", "imatrix", "an importance matrix"),
        ("general.architecture", "clip", "a vision or audio projector"),
    ],
)
def test_files_that_are_no_model_are_refused(draft, key, value, what):
    made = block(draft, "llama", 1)
    made.metadata[key] = value
    with pytest.raises(BadInput, match=what):
        model_of(parse_gguf(made.bytes()))


def test_tied_embeddings_are_read_whole_and_untied_by_the_row(tiny_llama):
    untied = file_weights(parse_gguf(tiny_llama().bytes()))
    parts = {group.part: group for group in untied.groups}
    assert (parts["embedding"].bytes, parts["embedding"].bytes_read) == (96, 32)
    assert parts["output"].bytes_read == 96
    made = tiny_llama()
    made.tensors = [row for row in made.tensors if row[0] != "output.weight"]
    parts = {group.part: group for group in file_weights(parse_gguf(made.bytes())).groups}
    assert (parts["embedding"].bytes, parts["embedding"].bytes_read) == (96, 96)
    assert "output" not in parts
    assert model_of(parse_gguf(made.bytes())).tied_embeddings


def test_the_mix_is_named_as_the_file_names_it(tiny_llama):
    made = tiny_llama()
    for number, name in (
        (0, "F32"),
        (15, "Q4_K_M"),
        (36, "TQ1_0"),
        (38, "MXFP4_MOE"),
        (4, "F32"),
        (1024, "F32"),
    ):
        made.metadata["general.file_type"] = number
        assert file_weights(parse_gguf(made.bytes())).name == name


def test_bitnet_cpp_numbers_its_mixes_otherwise(draft):
    """Its 40 is I2_S, upstream's Q1_0."""
    made = draft(metadata={"general.architecture": "bitnet-b1.58", "general.file_type": 40})
    made.add("token_embd.weight", (128, 4), F16, 1024)
    for number in range(2):
        made.add(f"blk.0.ffn_t{number}", (128, 4), 36, 160)
    file = parse_gguf(made.bytes())
    assert file_weights(file).name == "I2_S"
    made.metadata["bitnet-b1.58.block_count"] = 1
    assert model_of(parse_gguf(made.bytes())).trained_ternary
