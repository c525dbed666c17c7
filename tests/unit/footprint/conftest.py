"""Models of every mechanism, made up: ``st.from_type(Model)`` draws one.

They need make no sense as networks, only as sums.
"""

import pytest
from hypothesis import strategies as st

from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    GatedDeltaNet,
    LatentAttention,
    Layer,
    Mamba,
    Mamba2,
    Model,
    PerLayerEmbedding,
    ShortConv,
)

MIXERS = st.one_of(
    st.builds(
        Attention,
        heads=st.sampled_from((8, 16, 32)),
        kv_heads=st.sampled_from((1, 2, 8)),
        head_dim=st.sampled_from((64, 128, 256)),
        value_dim=st.sampled_from((None, 64)),
        window=st.sampled_from((None, None, 512, 4096)),
        owns_kv=st.booleans(),
        qk_norm=st.sampled_from(("none", "head", "full")),
        qkv_bias=st.booleans(),
        sinks=st.booleans(),
        gated=st.booleans(),
        k_is_v=st.booleans(),
        fused_qkv=st.booleans(),
    ),
    st.builds(
        LatentAttention,
        heads=st.sampled_from((16, 128)),
        kv_lora_rank=st.just(512),
        nope_head_dim=st.just(128),
        rope_head_dim=st.just(64),
        value_dim=st.just(128),
        q_lora_rank=st.sampled_from((None, 1536)),
    ),
    st.builds(Mamba, st.just(4096), st.just(16), st.just(4), st.just(128), st.booleans()),
    st.builds(Mamba2, st.just(64), st.just(64), st.just(128), st.just(8), st.just(4)),
    st.builds(GatedDeltaNet, st.just(16), st.just(128), st.just(32), st.just(128), st.just(4), st.booleans()),
    st.builds(ShortConv, st.just(3)),
)
FFNS = st.one_of(
    st.builds(
        FeedForward,
        size=st.sampled_from((512, 2048, 8192)),
        gated=st.booleans(),
        bias=st.booleans(),
        sub_norm=st.booleans(),
        fused_gate_up=st.booleans(),
    ),
    st.builds(
        Experts,
        count=st.sampled_from((8, 64)),
        active=st.integers(1, 8),
        size=st.sampled_from((512, 1024)),
        shared_size=st.sampled_from((0, 512)),
        shared_gate=st.booleans(),
        router_bias=st.booleans(),
        bias=st.booleans(),
        gated=st.booleans(),
        latent_size=st.sampled_from((None, 512)),
    ),
)
LAYERS = st.builds(
    Layer,
    mixer=st.one_of(st.none(), MIXERS),
    ffns=st.lists(FFNS, max_size=2).map(tuple),
    norms=st.integers(0, 4),
    extra_scalars=st.integers(0, 1),
)
MODELS = st.builds(
    Model,
    name=st.just("made up"),
    source=st.just("test"),
    architecture=st.sampled_from(("llama", "qwen2", "gemma3")),
    hidden_size=st.sampled_from((512, 768, 2048)),
    vocab_size=st.sampled_from((1000, 32000)),
    layers=st.lists(LAYERS, min_size=1, max_size=6).map(tuple),
    tied_embeddings=st.booleans(),
    context_max=st.sampled_from((None, 2048, 131072)),
    rope_freqs=st.sampled_from((0, 64)),
    per_layer_embedding=st.one_of(st.none(), st.just(PerLayerEmbedding(256, 1000))),
    embedding_norm=st.booleans(),
    output_bias=st.booleans(),
)


st.register_type_strategy(Model, MODELS)


def llama(layers=80, **changes) -> Model:
    """The shape of Llama-3.1-70B, or of a part of it."""
    values = {
        "name": f"llama of {layers}",
        "source": "test",
        "architecture": "llama",
        "hidden_size": 8192,
        "vocab_size": 128256,
        "layers": (Layer(Attention(64, 8, 128), (FeedForward(28672),)),) * layers,
        "tied_embeddings": False,
        "context_max": 131072,
        "rope_freqs": 64,
    }
    return Model(**values | changes)


@pytest.fixture(scope="session")
def make_llama():
    return llama


@pytest.fixture(scope="session")
def llama_70b():
    return llama()
