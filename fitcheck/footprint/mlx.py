"""MLX checkpoints: what mlx_lm.convert makes of a model.

Every Linear, Embedding and SwitchLinear whose input is whole groups is
quantized (quantize_model in mlx_lm/utils.py); norms, biases, convolutions and
bare arrays keep 16 bits. Three things differ from a GGUF file of the model:
the vocabulary's tables go with the rest, layers that only predict further
tokens are left out, and so are tables that mlx_lm works out by itself. Each
model's ``quant_predicate`` says what its router takes. After mlx-lm 0.32.2
(mlx_lm/utils.py, convert.py and models).
"""

from functools import lru_cache
from typing import Any, Literal

from fitcheck.footprint.formats import MLX_BITS, MLX_GROUPS, mlx_name
from fitcheck.footprint.mechanisms import Tensor
from fitcheck.footprint.mix import Format, Rule
from fitcheck.footprint.tensors import Layout, TensorGroup, layout
from fitcheck.schema.model import Model

Routers = Literal["kept", "own", "as the rest"]
"""What happens to routers and their like: nothing, what the model's predicate says, or the mix's default."""


def _mlx(name: str, description: str, listed: Literal["apple", "by name"] = "apple", **more: Any) -> Format:
    """Tables and output like the rest; which types norms and biases keep is the layout's business."""
    default = more.pop("default", name)
    output = more.pop("output", default)
    return Format(
        name,
        description,
        default,
        output,
        default,
        family="mlx",
        engines=("mlx",),
        listed=listed,
        **more,
    )


def _affine(bits: int, group: int) -> Format:
    about = f"MLX, {bits} bits in groups of {group}"
    return _mlx(mlx_name(bits, group), about, "apple" if group == 64 else "by name")


def _mixed(low: int, high: int) -> Format:
    """A recipe of mlx_lm.convert (mixed_quant_predicate_builder): values and down projections get more."""
    better: Rule = (("more bits", mlx_name(high, 64)),)
    return _mlx(
        f"MLX-mixed-{low}-{high}",
        f"MLX, {low} bits with the sensitive tensors at {high}",
        "by name",
        default=mlx_name(low, 64),
        output=mlx_name(high, 64),
        rules={"attn_v": better, "ffn_down": better},
    )


MLX_FORMATS = (
    _mlx("MLX-BF16", "MLX, bfloat16 as most models are published", default="BF16"),
    *(_affine(bits, group) for group in MLX_GROUPS for bits in MLX_BITS),
    _mlx("MLX-MXFP8", "MLX, 8 bit floats, one scale for 32"),
    _mlx("MLX-MXFP4", "MLX, 4 bit floats, one scale for 32"),
    _mlx("MLX-NVFP4", "MLX, 4 bit floats, one scale for 16"),
    *(_mixed(low, high) for low, high in ((2, 6), (3, 4), (3, 6), (4, 6))),
)

# Architectures of the catalogue of which mlx_lm 0.32.2 has no model, and those of which
# bytes were compared with a checkpoint's or with mlx_lm's own (tests/golden/mlx_sizes.csv).
_ABSENT = {"arcee", "baichuan", "chatglm", "deepseek4", "falcon", "hy_v3", "orion", "rwkv6", "xverse"}
_COMPARED = {
    "apertus",
    "cohere2",
    "command-r",
    "deepseek2",
    "dots1",
    "ernie4_5",
    "exaone",
    "gemma",
    "gemma2",
    "gemma4",
    "glm-dsa",
    "glm4",
    "glm4moe",
    "gpt-oss",
    "gptneox",
    "granite",
    "hunyuan-dense",
    "internlm2",
    "llama",
    "minicpm",
    "minimax-m2",
    "mistral3",
    "nemotron",
    "nemotron_h",
    "nemotron_h_moe",
    "olmo2",
    "olmoe",
    "phi3",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen35",
    "qwen35moe",
    "qwen3moe",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder2",
}

# Routers by architecture, as its model file has them: a Linear that goes with the rest, or
# a bare array that stays; all others are a Linear that quant_predicate gives 8 bits.
_WITH_THE_REST = {"llama", "olmoe", "phimoe", "qwen2moe", "ernie4_5-moe", "llama4", "dbrx", "hunyuan-moe"}
_BARE = {"deepseek", "deepseek2", "deepseek32", "glm-dsa", "glm4moe", "dots1", "mimo2", "nemotron_h_moe"}
_ROUTERS = ("ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight")

# Tensors of a model's own that quant_predicate gives 8 bits: small floats underflow in them (granite.py).
_EIGHT_BITS = {
    "granite": {"attn_output.weight", "ffn_down.weight", "output.weight"},
    "granitemoe": {"attn_output.weight", "output.weight"},
}

# What cast_predicate leaves in F32 where the publisher has it so, by architecture.
_CAST_ROUTER_BIAS = {"dots1", "ernie4_5-moe", "kimi-linear", "kimi-k3"}
_F32_DECAY = {"nemotron_h", "nemotron_h_moe", "qwen35", "qwen35moe", "kimi-linear", "kimi-k3"}


def runs_on_mlx(model: Model) -> bool:
    """Whether mlx_lm has a model of that architecture."""
    return model.architecture not in _ABSENT


def mlx_notes(model: Model) -> tuple[str, ...]:
    """What to say of a model's MLX bytes."""
    if not runs_on_mlx(model):
        return (f"mlx_lm 0.32.2 has no model of the architecture {model.architecture}",)
    if model.architecture not in _COMPARED:
        return ("its bytes in MLX were never compared with a checkpoint's",)
    return ()


def routers_of(form: Format) -> Routers:
    """Recipes replace the model's own predicate; without quantization there is none to ask."""
    if form.default == "BF16":
        return "kept"
    return "as the rest" if form.rules else "own"


@lru_cache(maxsize=256)
def mlx_layout(model: Model, routers: Routers) -> Layout:
    """The model's tensors as MLX has them, each with the type that it keeps in every format, if any."""
    known = layout(model)
    groups = tuple(_as_mlx(group, model, routers) for group in known.groups if _is_kept(group))
    values = sum(group.tensors for group in groups if group.role == "attn_v")
    facts = known.facts._replace(layers_in_file=len(model.layers), attn_v_tensors=values)
    return known._replace(groups=groups, facts=facts)


def _is_kept(group: TensorGroup) -> bool:
    return not group.unused and group.tensor.name != "rope_freqs.weight"


def _as_mlx(group: TensorGroup, model: Model, routers: Routers) -> TensorGroup:
    tensor, architecture = group.tensor, model.architecture
    if tensor.name == "token_embd.weight":
        return group._replace(role="token_embd")  # the tied one too: recipes name lm_head alone
    if tensor.name == "attn_kv_a_mqa.weight":
        # recipes look for v_a_proj, and kv_a_proj_with_mqa has it
        return group._replace(role="attn_v", ordinals=group.layers, counters=group.layers)
    if tensor.name in _ROUTERS and routers != "kept":
        return group._replace(tensor=tensor._replace(keep=_router_type(architecture, routers)))
    if routers == "own" and tensor.name in _EIGHT_BITS.get(architecture, ()):
        return group._replace(tensor=tensor._replace(keep=mlx_name(8, 64)))
    return group._replace(tensor=tensor._replace(keep=_kept_type(tensor, architecture)))


def _router_type(architecture: str, routers: Routers) -> str | None:
    if architecture in _BARE:
        return "BF16"
    return None if routers == "as the rest" or architecture in _WITH_THE_REST else mlx_name(8, 64)


def _kept_type(tensor: Tensor, architecture: str) -> str | None:
    """GGUF's F32 is 16 bits here, but for a few that mlx_lm casts on purpose not."""
    if tensor.keep != "F32":
        return tensor.keep
    if tensor.name == "exp_probs_b.bias" and architecture not in _CAST_ROUTER_BIAS:
        return "F32"
    return "F32" if tensor.name == "ssm_a" and architecture in _F32_DECAY else "BF16"
