"""Buffers llama.cpp computes in, and what its process holds besides.

The compute buffer is reserved once for one micro-batch: every tensor of its
graph lies in it, and reuses what earlier ones gave back. Its size is what the
allocator needs for that order of tensors, so the graph is replayed here
through the same rules (graph.py, mechanisms, arena.py). A server reserves one
output a slot, and so does a plan. Against b11434 on a CPU, one model of each
architecture and many more at up to 8 settings, with the logits of one token a
slot or of all: all of 1606 cases but one within 2 %, 98 % within 0.1 %. Further off is
MiniMax M3 with slots that have cells of their own, and the plan says so.
"""

from functools import lru_cache

from fitcheck.footprint.graph import graph
from fitcheck.footprint.growth import Batch, Growth
from fitcheck.footprint.kv_cache import find_kv_type
from fitcheck.footprint.tensors import layout
from fitcheck.schema.model import Model
from fitcheck.schema.request import FlashAttention

_F32 = 4

ENGINE_BYTES = 13 << 20
"""Code, threads and graphs of the bare library, over 40 files of ten families in b11434: 11 to 21 MiB
more than its named buffers and its tokenizer. A server's own code and chat templates come on top."""

TOKEN_BYTES, MERGE_BYTES, PIECE_BYTES = 210, 80, 150
"""What b11434 keeps a token and a merge of byte-pair tokenizers, and a token of SentencePiece's, measured
on tokenizers of 32000 to 262144 tokens and up to 280147 merges: within 4 MiB in each."""

CANDIDATE_BYTES = 60
"""What a server's sampler keeps a token beside the library: arrays of candidates and biases."""

_SENTENCE_PIECE = frozenset({"gemma", "gemma2", "gemma3", "gemma3n"})
_MERGES = {128256: 280147}  # Llama 3's; most others have a merge a token

_CONVERTED = 34 / 32
"""Bytes an element of a product's input takes once converted to Q8_0, the type nearly all weights meet."""


_UNDERSTATED = {"minimax-m3": 9}
"""Families whose compute buffer was by so many percent larger in llama.cpp where several slots have cells of
their own: it goes through the slots one by one. Recorded in tests/golden/llama_cpp_outputs.csv."""


@lru_cache(maxsize=512)
def _growth(
    model: Model,
    kv_type: str,
    flash_attention: FlashAttention,
    asked: tuple[int, int, bool, int | None],
    *,
    logits: bool = True,
) -> Growth:
    """Of the batches that are ``asked`` for, all but their context: slots, ubatch, unified, outputs.

    Where slots share their cells, MiniMax M3 masks no blocks.
    """
    slots, _, unified, _ = asked
    flash, quantized = flash_attention != "off", find_kv_type(kv_type).block_weights > 1
    shared = unified and slots > 1 and model.architecture == "minimax-m3"
    known = graph(model, flash, quantized, shared)
    return Growth(known, known.moves if logits else known.moves[:-1])


def compute_bytes(
    model: Model,
    context: int,
    kv_type: str = "f16",
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
    outputs: int | None = None,
) -> int:
    """The compute buffer and the output buffer together.

    ``context`` counts cells over all slots. ``outputs`` is how many tokens of
    a micro-batch may ask for their logits: all of them unless the program says
    less, as llama-server and llama-cli do (one a slot), but llama-bench doesn't.
    """
    reserved = graph_bytes(
        model,
        context,
        kv_type,
        slots=slots,
        ubatch=ubatch,
        flash_attention=flash_attention,
        unified=unified,
        outputs=outputs,
    )
    return reserved + output_bytes(model, slots)


def understated(model: Model, slots: int) -> str | None:
    """What a plan must say of a compute buffer that was seen to be larger; None where it wasn't."""
    percent = _UNDERSTATED.get(model.architecture)
    if percent is None or slots < 2:
        return None
    return f"compute buffer: llama.cpp's own figure was up to {percent} % higher with several slots"


def output_bytes(model: Model, slots: int = 1) -> int:
    """The buffer that hands out each slot's logits."""
    return _F32 * slots * model.vocab_size


def graph_bytes(
    model: Model,
    context: int,
    kv_type: str = "f16",
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
    outputs: int | None = None,
) -> int:
    """The compute buffer: the graph of a micro-batch, each slot an equal part of it."""
    batch = Batch(context, slots, ubatch, unified, outputs)
    return _growth(model, kv_type, flash_attention, batch[1:]).bytes(batch)


def touched_bytes(
    model: Model,
    context: int,
    kv_type: str = "f16",
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
) -> int:
    """What a prompt as long as the context makes resident of the compute buffer, and of the backend's own.

    A prompt wants the logits of its last token, so those of the others are
    never written; nor are the two tensors of rows given as embeddings. The
    CPU's backend converts the widest product's input outside of the buffer.
    """
    batch = Batch(context, slots, ubatch, unified, outputs=None)
    idle = 2 * _F32 * batch.tokens * model.hidden_size
    reached = _growth(model, kv_type, flash_attention, batch[1:], logits=False).bytes(batch)
    return reached - idle + round(batch.tokens * _widest_input(model) * _CONVERTED)


def _widest_input(model: Model) -> int:
    """Elements that a token brings to the widest product."""
    return max(
        group.tensor.cols * (group.tensor.stack_read if group.tensor.name == "ffn_down_exps.weight" else 1)
        for group in layout(model).groups
        if group.tensor.rows_read > 1
    )


@lru_cache(maxsize=1024)
def runtime_bytes(model: Model, *, served: bool = True) -> int:
    """The engine's code and tables, above all the tokenizer's; the bare library's where nothing is served."""
    size = ENGINE_BYTES + (CANDIDATE_BYTES * model.vocab_size if served else 0)
    if model.architecture in _SENTENCE_PIECE:
        return size + PIECE_BYTES * model.vocab_size
    merges = _MERGES.get(model.vocab_size, model.vocab_size)
    return size + TOKEN_BYTES * model.vocab_size + MERGE_BYTES * merges
