"""Buffers llama.cpp computes in, and what its process holds besides.

The compute buffer is reserved once for one micro-batch and reused by every
operation: its size is the widest moment of the graph, not a sum over layers.
The formula below is within -1.5 % and +6.4 % (median +1 %) of what b11434
reserves on a CPU, over 93 models and seven settings of context, micro-batch
and flash attention; the exact figure depends on how the allocator packs.
"""

from fitcheck.footprint.kv_cache import cells, pad_context
from fitcheck.footprint.mechanisms import Cache, Scratch
from fitcheck.footprint.tensors import Layout, layout
from fitcheck.schema.model import Model
from fitcheck.schema.request import FlashAttention

_F32 = 4

ENGINE_BYTES = 32 << 20
"""Code, threads and graphs. Peak RSS less weights, cache and buffers was 24 and
71 MiB in two measured runs of llama.cpp b11434 with tokenizers of a few MiB."""

TOKEN_BYTES = 400
"""The tokenizer's tables, a token: b11434 loaded 128256 tokens and 280147 merges
in 50 MiB more than none, 151936 with 151387 merges in 42, 64000 in 18."""


def compute_bytes(
    model: Model,
    context: int,
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
) -> int:
    """Scratch of one micro-batch, and the buffer that hands out each slot's logits."""
    known, hidden = layout(model), model.hidden_size
    flash = flash_attention != "off"
    windows = {cache.window for cache, _ in known.caches}
    parts = 1 if unified else slots
    spans = {
        window: cells(Cache(0, 0, window=window), context, slots, ubatch, unified) // parts
        for window in windows
    }
    inputs = sum(_inputs(known, window, span, flash) for window, span in spans.items())
    batch = min(pad_context(context), ubatch)
    moments = [batch * (model.vocab_size + 6 * hidden)]  # logits, and the rows they come from
    for scratch in known.scratches:
        moments.append(batch * (_held(scratch, spans, flash) + 5 * hidden) + slots * scratch.state)
    return _F32 * (batch * inputs + max(moments) + slots * model.vocab_size)


def _inputs(known: Layout, window: int | None, span: int, flash: bool) -> int:
    """Elements a token of the mask over the cells of a slot, and of the places its values go to.

    Flash attention takes the mask in F16; without it values are stored
    transposed, each at an address of eight bytes.
    """
    if flash:
        return span // 2
    return span + 2 * max(cache.value for cache, _ in known.caches if cache.window == window)


def _held(scratch: Scratch, spans: dict[int | None, int], flash: bool) -> int:
    """Elements a token, with the scores of all heads where attention writes them out."""
    if flash or not scratch.heads:
        return scratch.elements
    return scratch.elements + scratch.heads * spans[scratch.window]


def runtime_bytes(model: Model) -> int:
    """The engine's code and tables, above all the tokenizer's."""
    return ENGINE_BYTES + TOKEN_BYTES * model.vocab_size
