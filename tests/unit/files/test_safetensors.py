"""Safetensors checkpoints: exact parameters and bytes, packed ones included, and bad ones in one line."""

import json
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.stored import stored_as, stored_in
from fitcheck.footprint.tensors import parameters as parameters_of
from fitcheck.schema.model import Attention, Experts, Layer, Model
from fitcheck.sources.binary_file import MemorySource
from fitcheck.sources.resolve import resolve
from fitcheck.sources.safetensors_file import is_checkpoint, read_checkpoint
from fitcheck.sources.safetensors_header import read_tensors
from fitcheck.sources.safetensors_weights import checkpoint_weights, parameters, part_of

SIZES = {
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "I64": 8,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "I16": 2,
    "F64": 8,
}

Tensors = dict[str, tuple[str, tuple[int, ...]]]


def header(tensors: Tensors) -> bytes:
    table, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = SIZES[dtype] * prod(shape)
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def data_bytes(tensors: Tensors) -> int:
    return sum(SIZES[dtype] * prod(shape) for dtype, shape in tensors.values())


def write(path: Path, tensors: Tensors) -> Path:
    """A sparse file: a 140 GB checkpoint costs no disk."""
    made = header(tensors)
    path.write_bytes(made)
    with path.open("r+b") as file:
        file.truncate(len(made) + data_bytes(tensors))
    return path


def llama(layers: int, hidden: int, ffn: int, vocab: int, kv: int) -> Tensors:
    """A checkpoint as transformers names it, BF16."""
    made: Tensors = {"model.embed_tokens.weight": ("BF16", (vocab, hidden))}
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        for name, shape in {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (kv, hidden),
            "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (ffn, hidden),
            "mlp.up_proj": (ffn, hidden),
            "mlp.down_proj": (hidden, ffn),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }.items():
            made[f"{prefix}.{name}.weight"] = ("BF16", shape)
    return made | {"model.norm.weight": ("BF16", (hidden,)), "lm_head.weight": ("BF16", (vocab, hidden))}


LLAMA_8B = llama(32, 4096, 14336, 128256, 1024)


def test_parameters_of_llama_3_1_8b(tmp_path):
    """8 030 261 248: the count on the model's card."""
    checkpoint = read_checkpoint(write(tmp_path / "model.safetensors", LLAMA_8B))
    assert parameters(checkpoint) == 8_030_261_248
    weights = checkpoint_weights(checkpoint)
    assert weights.tensor_bytes == 16_060_522_496
    parts = {group.part: group for group in weights.groups}
    assert parts["embedding"].bytes_read == 8192
    assert parts["output"].bytes_read == 128256 * 8192
    assert set(parts) == {"embedding", "attention", "ffn", "norm", "output"}


def test_an_index_joins_its_files(tmp_path):
    items = list(LLAMA_8B.items())
    places = {}
    for number, part in enumerate((items[:100], items[100:]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        write(tmp_path / name, dict(part))
        places |= {tensor: name for tensor, _ in part}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 16060522496}, "weight_map": places}))
    for path in (index, tmp_path, tmp_path / "model-00002-of-00002.safetensors"):
        assert is_checkpoint(path)
        checkpoint = read_checkpoint(path)
        assert (checkpoint.files, parameters(checkpoint)) == (2, 8_030_261_248)
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    for path in (index, tmp_path, tmp_path / "model-00002-of-00002.safetensors"):
        with pytest.raises(BadInput, match="1 of 2 files are missing: model-00001-of-00002"):
            read_checkpoint(path)


def module(prefix: str, **tensors: tuple[str, tuple[int, ...]]) -> Tensors:
    return {f"{prefix}.{name}": row for name, row in tensors.items()}


IN, OUT = 4096, 1024
LAYER = "model.layers.0.self_attn.k_proj"
PACKED = {
    "GPTQ-4bit": module(
        LAYER,
        qweight=("I32", (IN // 8, OUT)),
        qzeros=("I32", (IN // 128, OUT // 8)),
        scales=("F16", (IN // 128, OUT)),
        g_idx=("I32", (IN,)),
    ),
    "GPTQ-3bit": module(
        LAYER, qweight=("I32", (IN * 3 // 32, OUT)), scales=("F16", (32, OUT)), g_idx=("I32", (IN,))
    ),
    "GPTQ-8bit": module(
        LAYER,
        qweight=("I32", (IN // 4, OUT)),
        qzeros=("I32", (IN // 128, OUT // 4)),
        scales=("F16", (IN // 128, OUT)),
    ),
    "AWQ-4bit": module(
        LAYER,
        qweight=("I32", (IN, OUT // 8)),
        qzeros=("I32", (IN // 128, OUT // 8)),
        scales=("F16", (IN // 128, OUT)),
    ),
    "INT4": module(
        LAYER,
        weight_packed=("I32", (OUT, IN // 8)),
        weight_scale=("BF16", (OUT, IN // 128)),
        weight_shape=("I64", (2,)),
    ),
    "FP4": module(
        LAYER,
        weight_packed=("U8", (OUT, IN // 2)),
        weight_scale=("F8_E4M3", (OUT, IN // 16)),
        weight_global_scale=("F32", (1,)),
        input_global_scale=("F32", (1,)),
    ),
    "BitNet-2bit": module(LAYER, weight=("U8", (OUT // 4, IN)), weight_scale=("BF16", (1,))),
    "FP8": module(LAYER, weight=("F8_E4M3", (OUT, IN)), weight_scale_inv=("F32", (OUT // 128, IN // 128))),
    "INT8": module(LAYER, weight=("I8", (OUT, IN)), SCB=("F32", (OUT,))),
    "MLX-4bit": module(
        LAYER,
        weight=("U32", (OUT, IN // 8)),
        scales=("F16", (OUT, IN // 64)),
        biases=("F16", (OUT, IN // 64)),
    ),
    "MLX-MXFP4": module(LAYER, weight=("U32", (OUT, IN // 8)), scales=("U8", (OUT, IN // 32))),
    "MLX-NVFP4": module(LAYER, weight=("U32", (OUT, IN // 8)), scales=("U8", (OUT, IN // 16))),
    "MLX-MXFP8": module(LAYER, weight=("U32", (OUT, IN // 4)), scales=("U8", (OUT, IN // 32))),
    "NF4": module(
        LAYER,
        **{
            "weight": ("U8", (IN * OUT // 2, 1)),
            "weight.absmax": ("U8", (IN * OUT // 64,)),
            "weight.quant_map": ("F32", (16,)),
            "weight.quant_state.bitsandbytes__nf4": ("U8", (80,)),
        },
    ),
    "EXL2": module(
        LAYER,
        q_weight=("I32", (600, OUT)),
        q_scale=("I32", (32, OUT // 8)),
        q_scale_max=("F16", (32,)),
        q_groups=("I16", (64,)),
        q_invperm=("I32", (IN,)),
    ),
    "EXL3": module(
        LAYER, trellis=("I16", (IN // 16, OUT // 16, 48)), suh=("F16", (IN,)), svh=("F16", (OUT,))
    ),
}


@pytest.mark.parametrize("type_", PACKED)
def test_a_packed_matrix_has_all_its_weights(type_, tmp_path):
    """Never counted as fewer parameters, and its bias not as part of the packing."""
    made = PACKED[type_] | {f"{LAYER}.bias": ("F16", (OUT,))}
    checkpoint = read_checkpoint(write(tmp_path / "model.safetensors", made))
    assert parameters(checkpoint) == IN * OUT + OUT
    groups = {group.type: group for group in checkpoint_weights(checkpoint).groups}
    assert groups[type_].weights + groups["F16"].weights == IN * OUT + OUT
    assert sum(group.bytes for group in groups.values()) == data_bytes(made)


FIRST = {"GPTQ-4bit": "vllm", "EXL2": "exllamav2", "NF4": "transformers", "MLX-4bit": "mlx", "FP8": "vllm"}


@pytest.mark.parametrize("type_", PACKED)
def test_a_packing_is_run_by_those_who_read_it(type_, tmp_path):
    """Beside a large table in 16 bits too: what is packed names the checkpoint, and llama.cpp reads none."""
    tensors = PACKED[type_] | {"model.embed_tokens.weight": ("BF16", (4096, 64))}
    stored = stored_in(checkpoint_weights(read_checkpoint(write(tmp_path / "model.safetensors", tensors))))
    assert stored.format == type_
    assert "llama.cpp" not in stored.engines
    assert stored.engines[0] == FIRST.get(type_, stored.engines[0])


def test_a_plain_checkpoint_must_be_converted(tmp_path):
    tensors = llama(layers=1, hidden=64, ffn=128, vocab=256, kv=64)
    weights = checkpoint_weights(read_checkpoint(write(tmp_path / "model.safetensors", tensors)))
    assert weights.name == "BF16" and "convert_hf_to_gguf.py" in weights.notes[0]


def test_experts_of_gpt_oss_and_what_a_token_reads_of_them(tmp_path):
    prefix = "model.layers.0.mlp.experts"
    made = {
        f"{prefix}.gate_up_proj_blocks": ("U8", (32, 5760, 90, 16)),
        f"{prefix}.gate_up_proj_scales": ("U8", (32, 5760, 90)),
        f"{prefix}.gate_up_proj_bias": ("BF16", (32, 5760)),
        "model.layers.0.mlp.router.weight": ("BF16", (32, 2880)),
    }
    checkpoint = read_checkpoint(write(tmp_path / "model.safetensors", made))
    assert parameters(checkpoint) == 32 * 5760 * 2880 + 32 * 5760 + 32 * 2880
    layer = Layer(Attention(64, 8, 64), (Experts(count=32, active=4, size=2880),))
    model = Model("gpt-oss", "test", "gpt-oss", 2880, 201088, (layer,), False, None)
    groups = {group.type: group for group in checkpoint_weights(checkpoint, model).groups}
    assert groups["MXFP4"].bytes_read == groups["MXFP4"].bytes // 8
    assert groups["BF16"].bytes_read == 2 * (4 * 5760 + 32 * 2880)


@pytest.mark.parametrize(
    ("quantization", "type_", "weights"),
    [
        ({"bits": 8, "quant_method": "gptq"}, "GPTQ-8bit", 4 * 64 * 32),
        ({"config_groups": {"group_0": {"weights": {"num_bits": 8}}}}, "GPTQ-8bit", 4 * 64 * 32),
        ({}, "GPTQ-4bit", 8 * 64 * 32),
        ({"bits": "four"}, "GPTQ-4bit", 8 * 64 * 32),
        ({"config_groups": [1]}, "GPTQ-4bit", 8 * 64 * 32),
    ],
)
def test_what_shapes_leave_open_the_config_tells(tmp_path, quantization, type_, weights):
    made = module(LAYER, qweight=("I32", (64, 32)), scales=("F16", (2, 32)))
    write(tmp_path / "model.safetensors", made)
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": quantization}))
    checkpoint = read_checkpoint(tmp_path)
    assert parameters(checkpoint) == weights
    assert [group.type for group in checkpoint_weights(checkpoint).groups] == [type_]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.embed_tokens.weight", "embedding"),
        ("lm_head.weight", "output"),
        ("model.layers.3.mlp.experts.7.down_proj.weight", "experts"),
        ("model.layers.3.mlp.gate.weight", "experts"),
        ("model.layers.3.mlp.gate_proj.weight", "ffn"),
        ("model.layers.3.mlp.shared_expert.up_proj.weight", "ffn"),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", "ffn"),
        ("model.layers.3.self_attn.q_norm.weight", "norm"),
        ("model.layers.3.linear_attn.in_proj_qkvz.weight", "state"),
        ("model.layers.3.post_attention_layernorm.weight", "norm"),
        ("model.vision_tower.encoder.layers.0.self_attn.q_proj.weight", "other"),
        ("mtp.layers.0.self_attn.q_proj.weight", "prediction"),
        ("model.rotary_emb.inv_freq", "other"),
    ],
)
def test_parts_by_name(name, part):
    assert part_of(name) == part


def row(dtype: object = "F32", shape: object = (2,), begin: object = 0, end: object = 8) -> dict[str, object]:
    return {
        "dtype": dtype,
        "shape": list(shape) if isinstance(shape, tuple) else shape,
        "data_offsets": [begin, end],
    }


def file(table: object, data: int = 8) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


LIES = {
    "empty": (b"", "is not a safetensors file but an empty file"),
    "a GGUF file": (b"GGUF\3\0\0\0{", "but a GGUF file"),
    "a web page": (b"<!DOCTYPE html><html>", "but a web page"),
    "a header without end": ((1 << 60).to_bytes(8, "little") + b"{}", "a header of 11529215046068"),
    "a header beyond the end": ((1000).to_bytes(8, "little") + b"{}", "ends inside its header (at 10"),
    "no JSON": (file(b'{"a": nope}'), "isn't sound JSON: expecting value at character 6"),
    "not UTF-8": (file(b'{"\xff": 1}'), "isn't UTF-8 text"),
    "endless nesting": (file(b'{"a":' + b"[" * 200_000), "nested too deep"),
    "more tensors than any model": (file(b'{"a":[' + b"{}," * 300_000 + b"{}]}"), "more tensors than any"),
    "more numbers than any model": (file(b'{"a":[' + b"0," * 3_000_000 + b"0]}"), "more tensors than any"),
    "a name twice": (file(b'{"a":{},"a":{}}'), "a name stands in it twice"),
    "a number of a megabyte": (file(b'{"a":' + b"9" * 1_000_000 + b"}"), "a number has 1000000 digits"),
    "not a number": (file(b'{"a":NaN}'), "NaN is no number of JSON"),
    "a tensor of text": (file({"a": "F32"}), "describes tensor 'a' wrongly"),
    "a shape of text": (file({"a": row(shape="2")}), "describes tensor 'a' wrongly"),
    "a shape below zero": (file({"a": row(shape=(-2,))}), "describes tensor 'a' wrongly"),
    "a shape beyond counting": (file({"a": row(shape=(1 << 40, 1 << 40))}), "describes tensor 'a' wrongly"),
    "a hundred dimensions": (file({"a": row(shape=(1,) * 100)}), "describes tensor 'a' wrongly"),
    "an offset of a half": (file({"a": row(end=8.5)}), "describes tensor 'a' wrongly"),
    "an unknown dtype": (file({"a": row(dtype="F3")}), "unknown dtype F3"),
    "a shape that contradicts": (file({"a": row(shape=(3,))}), "8 bytes, unlike its shape"),
    "an end before its beginning": (file({"a": row(begin=8, end=0)}), "overlap another, or a gap"),
    "a gap": (file({"a": row(begin=4, end=12)}, 12), "overlap another, or a gap"),
    "an overlap": (file({"a": row(), "b": row(begin=4, end=12)}, 12), "'b' overlap another"),
    "an offset beyond everything": (file({"a": row(begin=0, end=1 << 62)}), "unlike its shape"),
    "data cut short": (file({"a": row()}, 5), "is cut short: 3 bytes"),
    "data of nobody": (file({"a": row()}, 9), "has 1 bytes that belong to no tensor"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_clear_line(lie):
    data, message = LIES[lie]
    with pytest.raises(BadInput) as caught:
        read_tensors(MemorySource("model.safetensors", data))
    assert message in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


BAD_PLACES = ("3", "{}", '{"a": 1}', '{"a": ""}', '{"a": "../../secret.safetensors"}', '{"a": "/etc/passwd"}')


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "{", *(f'{{"weight_map": {places}}}' for places in BAD_PLACES)],
)
def test_an_index_that_is_none(tmp_path, text):
    """And none that leads out of its directory."""
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(BadInput):
        read_checkpoint(index)


def test_a_directory_without_a_model(tmp_path):
    assert not is_checkpoint(tmp_path)
    with pytest.raises(BadInput, match="holds no model in safetensors"):
        read_checkpoint(tmp_path)
    write(tmp_path / "adapter_model.safetensors", {"a": ("F32", (2,))})
    with pytest.raises(BadInput, match="holds no model in safetensors"):
        read_checkpoint(tmp_path)


def test_a_model_beside_its_publishers_own_format_is_read_once(tmp_path):
    """Mistral ships consolidated.safetensors next to transformers' files."""
    for name in ("consolidated.safetensors", "model.safetensors"):
        write(tmp_path / name, {"lm_head.weight": ("BF16", (10, 4))})
    assert parameters(read_checkpoint(tmp_path)) == 40


@settings(max_examples=300, deadline=2000)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_bytes_changed_anywhere(noise, at):
    data = bytearray(header(PACKED["INT4"]))
    data[at : at + len(noise)] = noise
    try:
        read_tensors(MemorySource("model.safetensors", bytes(data)))
    except BadInput as error:
        assert error.message.isprintable()


def mlx_matrix(name, rows, cols, *, bits, group, stack=()):
    """A quantized module as mlx_lm saves it."""
    return module(
        name,
        weight=("U32", (*stack, rows, cols * bits // 32)),
        scales=("BF16", (*stack, rows, cols // group)),
        biases=("BF16", (*stack, rows, cols // group)),
    )


def mlx_qwen3_moe(bits, group):
    """Two layers of four experts, two of which a token takes, as mlx_lm saves them; the router has 8 bits."""
    plain = {"bits": bits, "group": group}
    made = mlx_matrix("model.embed_tokens", 1000, 256, **plain) | mlx_matrix("lm_head", 1000, 256, **plain)
    made |= {"model.norm.weight": ("BF16", (256,))}
    for layer in ("model.layers.0", "model.layers.1"):
        for role, rows in (("q", 256), ("k", 128), ("v", 128), ("o", 256)):
            made |= mlx_matrix(f"{layer}.self_attn.{role}_proj", rows, 256, **plain)
        for role, rows, cols in (("gate", 384, 256), ("up", 384, 256), ("down", 256, 384)):
            made |= mlx_matrix(f"{layer}.mlp.switch_mlp.{role}_proj", rows, cols, stack=(4,), **plain)
        made |= mlx_matrix(f"{layer}.mlp.gate", 4, 256, bits=8, group=64)
        norms = {"input_layernorm": 256, "post_attention_layernorm": 256}
        norms |= {"self_attn.q_norm": 64, "self_attn.k_norm": 64}
        made |= {f"{layer}.{name}.weight": ("BF16", (length,)) for name, length in norms.items()}
    return made


MLX_CONFIG = {
    "model_type": "qwen3_moe",
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 1000,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 384,
    "tie_word_embeddings": False,
    "max_position_embeddings": 4096,
}


@pytest.mark.parametrize(("bits", "group", "form"), [(4, 64, "MLX-4bit"), (6, 128, "MLX-6bit-g128")])
def test_an_mlx_checkpoint_and_its_config_weigh_the_same(tmp_path, bits, group, form):
    """The file's bytes and the shape's, and no fewer parameters than the model has."""
    made = mlx_qwen3_moe(bits, group)
    routers = {f"model.layers.{layer}.mlp.gate": {"bits": 8, "group_size": 64} for layer in range(2)}
    said = MLX_CONFIG | {"quantization": {"bits": bits, "group_size": group} | routers}
    write(tmp_path / "model.safetensors", made)
    (tmp_path / "config.json").write_text(json.dumps(said))
    file = resolve(f"{tmp_path}/")
    shape = resolve(f"{tmp_path}/config.json")
    assert shape.formats == (form,)
    assert file.file.tensor_bytes == data_bytes(made) == weights_bytes(shape.model, form)
    assert file.model.parameters == parameters_of(shape.model)
    stored, worked_out = stored_in(file.file), stored_as(shape.model, form)
    assert stored.engines == worked_out.engines == ("mlx",)
    read = [sum(group.bytes for group in groups) for groups in (stored.groups, worked_out.groups)]
    assert read[0] == read[1]


@pytest.mark.parametrize(
    ("said", "form"),
    [
        (
            {"bits": 4, "group_size": 64, "mode": "affine", "lm_head": {"bits": 8, "group_size": 64}},
            "MLX-4bit",
        ),
        ({"bits": 4, "group_size": 32, "mode": "mxfp4"}, "MLX-MXFP4"),
        ({"bits": 4, "group_size": 32}, "MLX-4bit-g32"),
        ({"bits": 7}, None),
        ({"mode": "unheard of"}, None),
        ({}, None),
    ],
)
def test_a_config_says_its_mlx_format(tmp_path, said, form):
    (tmp_path / "config.json").write_text(json.dumps(MLX_CONFIG | {"quantization": said}))
    assert resolve(f"{tmp_path}/config.json").format == form
