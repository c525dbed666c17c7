"""A footprint taken apart: each addend with its rule and its source."""

from collections.abc import Iterator, Sequence

from fitcheck.footprint.assignment import TypedTensors, assign, weights_bytes
from fitcheck.footprint.compute import ENGINE_BYTES
from fitcheck.footprint.engine_buffers import engine_buffers
from fitcheck.footprint.formats import WeightType
from fitcheck.footprint.kv_cache import find_kv_type, owned_caches, state_bytes
from fitcheck.footprint.memory import footprint
from fitcheck.footprint.mixes import TYPES, find_format
from fitcheck.schema.engine import Buffer, Engine
from fitcheck.schema.explanation import Explanation, ExplanationLine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request

_KV_SOURCE = "llama.cpp b11434 src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp"
_STATE_SOURCE = "llama.cpp b11434 src/llama-memory-recurrent.cpp"
_COMPUTE_SOURCE = "llama.cpp b11434 src/models, ggml-alloc.c, tools/server/server-context.cpp; by its log"
_RUNTIME_SOURCE = "peak RSS of llama.cpp less its named buffers, measured"


def explain(
    model: Model, format_name: str, request: Request, context: int, buffers: tuple[Buffer, ...] = ()
) -> Explanation:
    """The derivation of ``footprint``; its lines add up to the same total.

    ``buffers`` are those of the engine that runs the format, where its profile knows them.
    """
    name = find_format(format_name).name
    need = footprint(model, weights_bytes(model, name), request, context, buffers)
    lines = (
        *map(_weights_line, assign(model, name)),
        *_cache_lines(model, request, context),
        *_compute_lines(model, request, context, need.compute_bytes, buffers),
        ExplanationLine(
            "runtime",
            "engine and tokenizer",
            f"{ENGINE_BYTES >> 20} MiB, and tables of {model.vocab_size} tokens",
            need.runtime_bytes,
            _RUNTIME_SOURCE,
        ),
    )
    return Explanation(model.name, name, request, lines, need.total_bytes)


def buffers_of(engines: Sequence[Engine], format_name: str) -> tuple[Buffer, ...]:
    """What the first engine of a format keeps of its own; none where it is built like llama.cpp."""
    name = find_format(format_name).engines[0]
    return next((engine.memory.buffers for engine in engines if engine.name == name), ())


def _compute_lines(
    model: Model, request: Request, context: int, size: int, buffers: tuple[Buffer, ...]
) -> Iterator[ExplanationLine]:
    """llama.cpp's in one line, which its graph gives; others' one by one."""
    for what, part in engine_buffers(model, buffers, context, request.slots).items():
        rows = [row for row in buffers if row.what == what]
        rule = " or ".join(_buffer_rule(row, context, request.slots) for row in rows)
        yield ExplanationLine("compute", what, rule, part, rows[0].source)
    if not buffers:
        rule = (
            f"widest moment of a micro-batch of {min(context, request.ubatch)} tokens and its masks; "
            "logits of one token a slot, as llama-server reserves"
        )
        yield ExplanationLine("compute", "compute and output buffers", rule, size, _COMPUTE_SOURCE)


def _buffer_rule(row: Buffer, context: int, slots: int) -> str:
    """So many tokens × so many elements × bytes."""
    counts = {
        "hidden": row.hidden,
        "ffn": row.ffn,
        "queries": row.queries,
        "keys": row.keys,
        "vocabulary": row.vocab,
        "ffn × hidden": row.ffn_matrix,
        "vocabulary × hidden": row.output_matrix,
    }
    widths = " + ".join(f"{count:g} {name}" for name, count in counts.items() if count)
    tokens = {"step": f"{min(row.step or context, context)} tokens × ", "slot": f"{slots} × ", "once": ""}
    rule = f"{tokens[row.tokens]}({widths}) × {row.element_bytes:g} B" if widths else ""
    fixed = f"{row.fixed_bytes >> 20} MiB" if row.fixed_bytes else ""
    return " + ".join(part for part in (rule, fixed) if part)


def _weights_line(typed: TypedTensors) -> ExplanationLine:
    tensor, kind = typed.group.tensor, TYPES[typed.type]
    shape = " × ".join(str(n) for n in (tensor.cols, tensor.rows, tensor.stack) if n > 1 or n is tensor.cols)
    where = "" if not typed.group.layers else "blk.*."
    rule = f"{typed.tensors} × [{shape}] × {_cost(kind)}"
    return ExplanationLine("weights", f"{where}{tensor.name} {typed.type}", rule, typed.bytes, kind.source)


def _cost(kind: WeightType) -> str:
    """What a weight of the type costs, as a rule."""
    if kind.formula is not None:
        return f"{kind.name}'s own formula"
    extra = f" + {kind.row_bytes} B a row" if kind.row_bytes else ""
    extra += f" + {kind.tensor_bytes} B a tensor" if kind.tensor_bytes else ""
    return f"{kind.block_bytes} B / {kind.block_weights}{extra}"


def _cache_lines(model: Model, request: Request, context: int) -> Iterator[ExplanationLine]:
    kind = find_kv_type(request.kv_type)
    for row in owned_caches(
        model, context, request.kv_type, slots=request.slots, ubatch=request.ubatch,
        flash_attention=request.flash_attention,
    ):  # fmt: skip
        window = f", window {row.window}" if row.window else ""
        rule = f"{row.layers} layers × {row.cells} cells × ({row.key} + {row.value}) × {_cost(kind)}"
        yield ExplanationLine("kv", f"KV cache {request.kv_type}{window}", rule, row.bytes, _KV_SOURCE)
    if state := state_bytes(model, request.slots):
        yield ExplanationLine("kv", "recurrent state F32", f"{request.slots} sequences", state, _STATE_SOURCE)
