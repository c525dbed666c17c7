"""A footprint taken apart: each addend with its rule and its source."""

from collections.abc import Iterator, Sequence
from typing import get_args

from fitcheck.footprint.assignment import TypedTensors, assign, weights_bytes
from fitcheck.footprint.compute import ENGINE_BYTES
from fitcheck.footprint.engine_buffers import engine_buffers
from fitcheck.footprint.formats import WeightType
from fitcheck.footprint.kv_cache import find_kv_type, owned_caches, state_bytes
from fitcheck.footprint.memory import Footprint, footprint
from fitcheck.footprint.mixes import TYPES, find_format
from fitcheck.schema.engine import Buffer, Engine
from fitcheck.schema.explanation import Explanation, ExplanationLine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights, Part, WeightGroup
from fitcheck.units import spaced

_FILE_SOURCE = "the file's own tensor table"
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
    weights = map(_weights_line, assign(model, name))
    lines = (*weights, *_beside_weights(model, request, context, need, buffers))
    return Explanation(model.name, name, request, lines, need.total_bytes)


def explain_file(
    model: Model, file: FileWeights, request: Request, context: int, buffers: tuple[Buffer, ...] = ()
) -> Explanation:
    """Like ``explain``, for a real file: its own tensors by what they are for and their type."""
    need = footprint(model, file.tensor_bytes, request, context, buffers)
    weights = map(_group_line, sorted(file.groups, key=_by_part))
    lines = (*weights, *_beside_weights(model, request, context, need, buffers))
    notes = (*file.notes, _rest_of(file))
    return Explanation(model.name, file.name, request, lines, need.total_bytes, notes=notes)


def _beside_weights(
    model: Model, request: Request, context: int, need: Footprint, buffers: tuple[Buffer, ...]
) -> Iterator[ExplanationLine]:
    yield from _cache_lines(model, request, context)
    yield from _compute_lines(model, request, context, need.compute_bytes, buffers)
    rule = f"{ENGINE_BYTES >> 20} MiB, and tables of {model.vocab_size} tokens"
    yield ExplanationLine("runtime", "engine and tokenizer", rule, need.runtime_bytes, _RUNTIME_SOURCE)


def buffers_of(engines: Sequence[Engine], name: str) -> tuple[Buffer, ...]:
    """What the engine of that name keeps of its own; none where it is built like llama.cpp."""
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


def _by_part(group: WeightGroup) -> tuple[int, int]:
    return get_args(Part).index(group.part), -group.bytes


def _group_line(group: WeightGroup) -> ExplanationLine:
    """Packed codes with scales in tensors of their own are no type of GGUF: their bits are what they take."""
    kind = TYPES.get(group.type)
    if kind is not None and kind.formula is None:
        cost = f"weights × {_cost(kind)}"
    else:
        cost = f"weights, {8 * group.bytes / group.weights:.2f} bits each" if group.weights else "weights"
    tensors = "1 tensor" if group.tensors == 1 else f"{group.tensors} tensors"
    rule = f"{tensors}, {spaced(group.weights)} {cost}"
    return ExplanationLine("weights", f"{group.part} {group.type}", rule, group.bytes, _FILE_SOURCE)


def _rest_of(file: FileWeights) -> str:
    """What a file takes on the disk that no line counts."""
    rest = file.file_bytes - file.tensor_bytes
    return (
        f"the file has {spaced(file.file_bytes)} bytes: {spaced(file.tensor_bytes)} of tensors, and "
        f"{spaced(rest)} of header, vocabulary and padding"
    )


def _cost(kind: WeightType) -> str:
    """What a weight of the type costs, as a rule."""
    if kind.formula is not None:
        return f"{kind.name}'s own formula"
    extra = f" + {kind.row_bytes} B a row" if kind.row_bytes else ""
    extra += f" + {kind.tensor_bytes} B a tensor" if kind.tensor_bytes else ""
    each = "" if kind.block_weights == 1 else f" / {kind.block_weights}"
    return f"{kind.block_bytes} B{each}{extra}"


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
