"""What the planner says of a run that took place."""

from collections.abc import Sequence
from dataclasses import replace

from fitcheck.errors import BadInput
from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.stored import stored_as, stored_in
from fitcheck.planner import plan
from fitcheck.schema.calibration import Shape
from fitcheck.schema.engine import Device, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.speed.prefill import USUAL_PROMPT

_AMPLE = 1 << 50  # bytes: what ran has fitted


def predicted(
    shape: Shape, request: Request, device: Device, machine: Machine, engines: Sequence[Engine]
) -> FormatPlan:
    """What the planner says of a run, whatever memory it takes: it did run.

    Raises BadInput where the planner knows no speed for it.
    """
    needed = request.depth + (request.prompt or 0) + 1
    context = min(max(needed, 512), shape.model.context_max or max(needed, 512))
    asked = replace(request, formats=(shape.format,), context=request.context or context, reserve_bytes=0)
    here = _with_ample_memory(machine, device)
    row = plan(shape.model, here, asked, engines, file=shape.file).plans[0]
    if row.decode_tokens_per_s is None:
        why = "; ".join(row.notes) or row.why
        said = f"no speed is known for {shape.format} of {shape.model.name}: {why}"
        raise BadInput(said, "choose another engine or format")
    return row


def prefill_speed(row: FormatPlan, tokens: int, depth: int) -> float | None:
    """Tokens per second of a prompt, where the plan says: the usual one at its depth, any at the start."""
    if tokens == USUAL_PROMPT:
        return row.prefill_tokens_per_s
    return tokens / row.ttft_s if row.ttft_s and not depth else None


def bytes_per_token(shape: Shape, request: Request) -> int:
    stored = stored_in(shape.file) if shape.file else stored_as(shape.model, shape.format)
    read = sum(group.bytes for group in stored.groups)
    return read + kv_read_bytes(shape.model, request.depth, request.kv_type)


def _with_ample_memory(machine: Machine, device: Device) -> Machine:
    if device == "gpu" and machine.gpus and not machine.unified_memory:
        return replace(machine, ram_bytes=None)
    if device == "gpu":
        return machine
    return replace(
        machine, ram_bytes=_AMPLE, limit_bytes=None, available_bytes=None, gpus=(), unified_memory=False
    )
