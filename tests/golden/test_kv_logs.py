"""KV caches, states and compute buffers as real logs printed them: 33 rows.

Public log excerpts of llama.cpp and, where a comment says so, of
ik_llama.cpp, a fork. Each row is rebuilt from the shape: 23 of caches and
states to the printed digit, 10 of compute buffers, which older builds and
forks laid out otherwise, as near as is said beside them.
"""

from dataclasses import replace

import pytest

from fitcheck.footprint.compute import compute_bytes, graph_bytes
from fitcheck.footprint.kv_cache import kv_bytes, owned_caches, state_bytes
from fitcheck.footprint.memory import Choices
from fitcheck.footprint.offload import host_buffer
from fitcheck.schema.model import Attention, Experts, FeedForward, Layer, Model
from fitcheck.sources.catalog import load_model

MIB = 1 << 20


def shape(layers, hidden=1024, vocab=1024):
    return Model("shape", "test", "llama", hidden, vocab, tuple(layers), False, None)


def attention(kv_heads, head_dim, window=None, layers=1, owns_kv=True):
    mixer = Attention(kv_heads, kv_heads, head_dim, window=window, owns_kv=owns_kv)
    return (Layer(mixer, (FeedForward(256),)),) * layers


def without_windows(model):
    """ik_llama.cpp keeps the whole context in windowed layers too."""
    layers = (replace(layer, mixer=replace(layer.mixer, window=None)) for layer in model.layers)
    return replace(model, name=model.name + " without windows", layers=tuple(layers))


def decompressed(model):
    """Old DeepSeek files lack the split tensors: every head's key and value is cached."""
    full = Attention(128, 128, 192, value_dim=128)
    layers = (replace(layer, mixer=full) for layer in model.layers)
    return replace(model, name=model.name + " decompressed", layers=tuple(layers))


WHOLE = [
    ("mistral-small-24b", 256, "f16", 40.00),  # Devstral-Small-2, n_ctx 6 grown to 256
    ("llama-3.1-8b", 4096, "f16", 512.00),  # ik_llama.cpp issue #437
    ("qwen2.5-72b", 32768, "q8_0", 5440.00),
    ("bitnet-2b", 4096, "f16", 300.00),  # ik_llama.cpp PR #337
    ("deepseek-v3", 32768, "f16", 2196.00),
    ("deepseek-v3", 163840, "f16", 10980.00),  # ik_llama.cpp PR #237
    ("deepseek-v3", 32768, "q8_0", 1166.62),
]


@pytest.mark.parametrize(("model", "context", "kv_type", "printed"), WHOLE)
def test_caches_of_one_kind(model, context, kv_type, printed):
    assert round(kv_bytes(load_model(model), context, kv_type) / MIB, 2) == pytest.approx(printed, abs=0.01)


WITHOUT_WINDOWS = [("command-a-111b", 32768, "q8_0", 4352.00), ("gemma-3-27b", 32768, "f16", 15872.00)]


@pytest.mark.parametrize(("model", "context", "kv_type", "printed"), WITHOUT_WINDOWS)
def test_ik_llama_cpp_saves_nothing_on_windows(model, context, kv_type, printed):
    whole = kv_bytes(without_windows(load_model(model)), context, kv_type) / MIB
    assert whole == printed
    assert kv_bytes(load_model(model), context, kv_type) / MIB < printed / 2


def _part(model, context, window, **asked):
    caches = owned_caches(load_model(model), context, **asked)
    return sum(cache.bytes for cache in caches if (cache.window is not None) == window) / MIB


WINDOWED = [
    ("gpt-oss-20b", 131072, False, {}, 3072.00),
    ("gpt-oss-20b", 131072, True, {"ubatch": 2048}, 54.00),  # 128 + 2048 grown to 2304 cells
    ("gpt-oss-20b", 131072, True, {"ubatch": 512}, 18.00),  # 128 + 512 grown to 768
    ("gpt-oss-20b", 8192, False, {"kv_type": "q8_0"}, 102.00),
    ("gemma-2-2b", 8192, False, {}, 416.00),
    # Four slots share the cells, so the windows of all four must fit: nothing is saved.
    ("gemma-2-2b", 8192, True, {"slots": 4, "unified": True}, 416.00),
]


@pytest.mark.parametrize(("model", "context", "window", "asked", "printed"), WINDOWED)
def test_windowed_layers_apart_from_the_others(model, context, window, asked, printed):
    assert _part(model, context, window, **asked) == printed


HYBRIDS = [
    (attention(8, 128, layers=12), 1 << 20, "q4_0", 13824.00),  # Laguna, its 12 full layers
    (attention(4, 256, layers=16), 131072, "q8_0", 4352.00),  # Qwen3.5-27B, its 16 attention layers
    (attention(4, 256, layers=8), 135168, "f16", 4224.00),  # Qwen3.5-9B, its 8 attention layers
]


@pytest.mark.parametrize(("layers", "context", "kv_type", "printed"), HYBRIDS)
def test_attention_layers_of_hybrids(layers, context, kv_type, printed):
    assert kv_bytes(shape(layers), context, kv_type) / MIB == printed


STATES = [("qwen3.5-27b", 4, 598.50), ("qwen3.5-9b", 1, 50.25), ("qwen3.5-9b", 4, 201.00)]


@pytest.mark.parametrize(("model", "slots", "printed"), STATES)
def test_recurrent_state_is_f32_and_comes_once_a_slot(model, slots, printed):
    assert state_bytes(load_model(model), slots) / MIB == printed


EVERY_HEAD = {"key": 5856.00, "value": 3904.00}


@pytest.mark.parametrize("part", EVERY_HEAD)
def test_deepseek_without_latent_attention_keeps_every_head(part):
    (cache,) = owned_caches(decompressed(load_model("deepseek-v3")), 2048)
    assert 61 * cache.cells * getattr(cache, part) * 2 / MIB == EVERY_HEAD[part]


def test_more_slots_can_mean_a_smaller_cache():
    # Unsloth's estimator on gemma3-270m, context 1024: slots grow to 256 cells each.
    mixers = [attention(1, 256, window=512, layers=5) + attention(1, 256)] * 3
    model = shape(sum(mixers, ()))
    assert kv_bytes(model, 1024, slots=3) / MIB == 27.0
    assert kv_bytes(model, 1024, slots=4) / MIB == 18.0


# Compute buffers, with the logits of every token, as those builds reserved them. On a CPU one
# buffer holds logits, hidden rows and masks; logs of GPUs split it, so their two lines are one sum.
BUFFERS = [
    # a fork, whose graph holds fewer rows at once
    ("bitnet-2b", {"context": 4096}, (255.50,), 0.15),
    ("llama-3.1-8b", {"context": 4096, "flash_attention": "off"}, (296.01,), 0.10),
    # an older build, whose embeddings came without the two rows of a mixed batch
    ("gemma-2-2b", {"context": 8192}, (509.00,), 0.10),
    ("qwen3.5-27b", {"context": 4096}, (495.00,), 0.12),  # the card's part: the log's other line is missing
    # masks were F32 with flash attention, too: they are F16 now
    ("qwen2.5-72b", {"context": 32768}, (313.00, 80.01), 0.09),
    ("command-a-111b", {"context": 32768, "ubatch": 2048}, (2096.00, 608.02), 0.06),
]


@pytest.mark.parametrize(("model", "asked", "printed", "off_by"), BUFFERS)
def test_compute_buffers_of_other_builds_are_near(model, asked, printed, off_by):
    assert compute_bytes(load_model(model), **asked) / MIB == pytest.approx(sum(printed), rel=off_by)


def test_six_tokens_take_their_logits_and_rows():
    # Devstral-Small-2 (the shape of Mistral Small) with a micro-batch of six tokens: 3.12 MiB.
    # The build held one row of the hidden state beside the logits, ours five and a mask: 0.1 MiB.
    printed, model = 3.12, load_model("mistral-small-24b")
    assert (model.vocab_size + model.hidden_size) * 6 * 4 / MIB == pytest.approx(printed, abs=0.005)
    reserved = graph_bytes(model, 256, ubatch=6) / MIB
    assert 0 < reserved - printed < 0.5


def test_masks_of_a_long_context_in_ram():
    # gpt-oss-20b, 131072 cells and a micro-batch of 2048: the CPU's side of a card, 1064.59 MiB, of
    # which an F32 mask of all cells is 1024, one of the window's 2304 cells 18, a row of embeddings 22.5.
    printed, tokens = 1064.59, 2048
    window = next(
        row.cells for row in owned_caches(load_model("gpt-oss-20b"), 131072, ubatch=tokens) if row.window
    )
    rows = 4 * tokens * (131072 + window + 2880)
    assert rows / MIB == pytest.approx(printed, abs=0.1)
    choices = Choices("f16", 1, tokens, "auto")
    now = host_buffer(load_model("gpt-oss-20b"), 131072, choices) / MIB
    assert now == pytest.approx(printed / 2, rel=0.15)  # F16 masks since: half, and a few rows more


def test_every_logged_row_is_here():
    """What the collection counts: 23 lines about caches and states, 10 about compute buffers."""
    caches = len(WHOLE) + len(WITHOUT_WINDOWS) + len(WINDOWED) + len(HYBRIDS) + len(STATES) + len(EVERY_HEAD)
    assert caches == 23
    assert sum(len(printed) for _, _, printed, _ in BUFFERS) + 2 == 10


# facts: llama_cpp_on_two_cores.md, b11434 on a CPU without flash attention.
@pytest.mark.parametrize(
    ("model", "context", "ubatch", "kv", "compute"),
    [
        ("llama-3.2-1b", 2304, 512, 72.00, 277.02),
        ("llama-3.2-1b", 2304, 128, 72.00, 69.25),
        ("llama-3.2-3b", 768, 512, 84.00, 292.02),
    ],
)
def test_what_llama_cpp_allocated_on_two_cores(model, context, ubatch, kv, compute):
    known = load_model(model)
    assert kv_bytes(known, context, ubatch=ubatch, flash_attention="off") / MIB == kv
    size = compute_bytes(known, context, ubatch=ubatch, flash_attention="off") / MIB
    assert size == pytest.approx(compute, rel=0.05)


def test_experts_do_not_enter_the_cache():
    dense = attention(8, 128, layers=4)
    experts = tuple(replace(layer, ffns=(Experts(8, 2, 512),)) for layer in dense)
    assert kv_bytes(shape(dense), 4096) == kv_bytes(replace(shape(experts), name="experts"), 4096)
