"""A Model: the shape of a network, layer by layer, and nothing of its weights.

Every size counts elements, never bytes: bytes depend on the weight format
and belong to ``footprint/``.
"""

from dataclasses import dataclass, field
from typing import Literal

QkNorm = Literal["none", "head", "full"]
"""How queries and keys are normalised: not at all, per head, or over all heads."""


@dataclass(frozen=True)
class Indexer:
    """Sparse attention's scorer, with a key of its own for every token (DeepSeek V3.2, MiniMax M3)."""

    heads: int
    head_dim: int


@dataclass(frozen=True)
class Attention:
    """Grouped-query attention (multi-query and multi-head are its extremes)."""

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int | None = None  # where values are narrower or wider than keys
    window: int | None = None  # tokens a sliding-window layer can see
    owns_kv: bool = True  # False where a layer reads another layer's cache
    qk_norm: QkNorm = "none"
    qkv_bias: bool = False
    output_bias: bool = False
    sinks: bool = False  # one learned logit a head (gpt-oss)
    sub_norm: bool = False  # a norm before the output projection (BitNet)
    gated: bool = False  # queries carry an output gate (Qwen3-Next): twice as wide
    k_is_v: bool = False  # values are the keys: no value projection (Gemma 4)
    fused_qkv: bool = False  # one attn_qkv tensor instead of three (Phi-3)
    gate_size: int = 0  # rows of an attn_gate matrix: a head each (Step 3.5), or a value each (AFMoE)
    indexer: Indexer | None = None


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek): a compressed cache without values."""

    heads: int
    kv_lora_rank: int
    nope_head_dim: int
    rope_head_dim: int
    value_dim: int
    q_lora_rank: int | None = None
    gate_size: int = 0  # rows of an attn_gate matrix (Kimi K3)
    expanded: bool = False  # engines cache the keys and values of all heads (MiniCPM3)
    indexer: Indexer | None = None


@dataclass(frozen=True)
class CompressedAttention:
    """DeepSeek V4: a window of tokens, and before it one row for every ``ratio`` of them."""

    heads: int
    head_dim: int  # of the one key, which is the value too
    q_lora_rank: int
    output_groups: int
    output_lora_rank: int  # of each group
    window: int
    ratio: int | None = None  # None: nothing is kept beyond the window
    overlap: bool = False  # a row is made of two blocks of tokens
    indexer: Indexer | None = None


@dataclass(frozen=True)
class Mamba:
    """Mamba 1 state space: a convolution and one state a channel."""

    inner_size: int
    state_size: int
    conv_kernel: int
    dt_rank: int
    inner_norms: bool = False  # norms on dt, B and C (Jamba)


@dataclass(frozen=True)
class Mamba2:
    """Mamba 2 state space: heads that share B and C within a group."""

    heads: int
    head_dim: int
    state_size: int
    groups: int
    conv_kernel: int
    conv_bias: bool = True
    norm: bool = True  # of each group's output


@dataclass(frozen=True)
class GatedDeltaNet:
    """Linear attention with a matrix state a value head (Qwen3-Next, Qwen3.5)."""

    key_heads: int
    key_head_dim: int
    value_heads: int
    value_head_dim: int
    conv_kernel: int
    fused_projections: bool = False  # beta and alpha in one ssm_ba tensor (Qwen3-Next)


@dataclass(frozen=True)
class KimiDelta:
    """Kimi delta attention: a matrix state a head, and a convolution on each of query, key and value."""

    heads: int
    head_dim: int
    conv_kernel: int
    full_gate: bool = False  # one output gate instead of two of low rank (Kimi K3)


@dataclass(frozen=True)
class ShortConv:
    """A gated short convolution over the hidden size (LFM2)."""

    conv_kernel: int


@dataclass(frozen=True)
class Rwkv6:
    """RWKV 6 time mixing: a matrix state a head, and the last token's input."""

    head_dim: int
    mix_rank: int
    decay_rank: int


@dataclass(frozen=True)
class Rwkv7:
    """RWKV 7 time mixing: the same state, its decay and in-context learning rate of low rank."""

    head_dim: int
    decay_rank: int
    rate_rank: int
    value_rank: int
    gate_rank: int


Mixer = (
    Attention
    | LatentAttention
    | CompressedAttention
    | Mamba
    | Mamba2
    | GatedDeltaNet
    | KimiDelta
    | ShortConv
    | Rwkv6
    | Rwkv7
)


@dataclass(frozen=True)
class FeedForward:
    """A dense feed-forward block: up and down, with a gate unless said otherwise."""

    size: int
    gated: bool = True
    bias: bool = False
    sub_norm: bool = False  # a norm before the down projection (BitNet)
    fused_gate_up: bool = False  # one ffn_up tensor twice as wide (Phi-3)


@dataclass(frozen=True)
class Experts:
    """A mixture of experts; a token passes through ``active`` of ``count``."""

    count: int
    active: int
    size: int
    shared_size: int = 0  # all shared experts together
    shared_gate: bool = False  # a router of its own for the shared expert (Qwen)
    router_bias: bool = False  # one float an expert (DeepSeek V3, GLM)
    bias: bool = False  # biases on router and projections (gpt-oss)
    gated: bool = True
    latent_size: int | None = None  # experts work on a projected hidden state
    latent_norm: bool = False  # which is normalised (Kimi K3)
    hash_vocab: int = 0  # tokens whose experts a table names, instead of a router's bias (DeepSeek V4)


@dataclass(frozen=True)
class ChannelMix:
    """RWKV's feed-forward block, which also keeps the last token's input."""

    size: int
    receptance: bool = False  # a gate as wide as the hidden size (RWKV 6)


Ffn = FeedForward | Experts | ChannelMix


@dataclass(frozen=True)
class Layer:
    """One block of the network. Either part may be missing (Nemotron-H)."""

    mixer: Mixer | None
    ffns: tuple[Ffn, ...]  # more than one where dense and experts run side by side
    norms: int = 2  # F32 vectors as long as the hidden size
    extra_scalars: int = 0  # F32 scalars a layer carries (Gemma 4's output scale)
    beside: Mixer | None = None  # a second mixer on the same input (Falcon-H1)


@dataclass(frozen=True)
class PerLayerEmbedding:
    """A second embedding table with a slice for each layer (Gemma 3n, Gemma 4 E)."""

    size: int  # elements of one layer's slice
    vocab_size: int


@dataclass(frozen=True)
class AltUp:
    """Alternating updates over several hidden states, and a low-rank residual (Gemma 3n)."""

    inputs: int
    residual_rank: int


@dataclass(frozen=True)
class Model:
    """The shape of a language model, as engines load it.

    ``parameters`` is what the publisher's checkpoint counts, where known; what
    fitcheck itself counts comes from the layers.
    """

    name: str
    source: str
    architecture: str  # llama.cpp's name for it
    hidden_size: int
    vocab_size: int
    layers: tuple[Layer, ...]
    tied_embeddings: bool
    context_max: int | None
    parameters: int | None = None
    trained_ternary: bool = False
    published_in: str | None = None  # the format its weights came in, where planned (gpt-oss: MXFP4_MOE)
    trained: bool = True  # False: a shape for speed tests, without weights anybody could want
    rope_freqs: int = 0  # F32 elements of the rope_freqs table (Llama 3.1 and later)
    per_layer_embedding: PerLayerEmbedding | None = None
    altup: AltUp | None = None
    hyper_connections: int = 0  # hidden states that layers mix (DeepSeek V4)
    residual_scores: bool = False  # layers weigh the residuals of those before them (Kimi K3)
    embedding_norm: bool = False
    output_norm: bool = True
    norm_bias: bool = False  # norms that also shift
    output_bias: bool = False
    nextn_layers: int = 0  # multi-token-prediction layers in the file, unused by decode
    nextn_vocabularies: int = 0  # vocabulary matrices of its own that each carries (GLM 4.5: two)
    prediction: Layer | None = None  # their shape, where it isn't the last layer's
    aliases: tuple[str, ...] = field(default=())
    note: str | None = None

    def __hash__(self) -> int:
        """Cheap on purpose: what is computed from a Model is kept by it, and its layers are many."""
        return hash(self.name)
