"""What articles claim, judged by the planner: pure, like the planner itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fitcheck.budget import least_memory
from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.memory import footprint
from fitcheck.footprint.tensors import parameters
from fitcheck.planner import DEFAULT_CONTEXT, plan
from fitcheck.schema.claim import Claim, Finding, Judgement
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.units import GIB

# Articles round: a figure within a twentieth of the claim is what was claimed.
TOLERANCE = 0.05


def judge(claim: Claim, model: Model, machine: Machine | None, engines: Sequence[Engine]) -> Finding:
    """Compute the claim's figure in each of its formats; one that agrees is enough.

    ``machine`` is needed for claims about speed only. Raises BadInput where
    it is missing, or its memory unknown.
    """
    if claim.figure in _BYTES:
        found = [_BYTES[claim.figure](model, name) for name in claim.formats]
    else:
        found = _speeds(claim, model, machine, engines)
    low, high = min(found), max(found)
    return Finding(claim, low, high, _compare(claim.says, low, high))


def _speeds(claim: Claim, model: Model, machine: Machine | None, engines: Sequence[Engine]) -> list[float]:
    if machine is None:
        raise BadInput(f"“{claim.quote}” names no machine", "a claim about speed needs one")
    sized = replace(machine, ram_bytes=claim.ram_bytes or machine.ram_bytes)
    rows = plan(model, sized, Request(formats=claim.formats), engines).plans
    return [row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0 for row in rows]


def _compare(says: tuple[float, float], low: float, high: float) -> Judgement:
    """Whether the formats' figures, from low to high, meet what the article says."""
    if says[1] * (1 + TOLERANCE) < low:
        return "too low"
    return "too high" if says[0] * (1 - TOLERANCE) > high else "holds"


def _total_bytes(model: Model, name: str) -> int:
    context = min(DEFAULT_CONTEXT, model.context_max or DEFAULT_CONTEXT)
    return footprint(model, weights_bytes(model, name), Request(), context).total_bytes


def _least_ram(model: Model, name: str) -> float:
    return least_memory(_total_bytes(model, name), Request()) / GIB


_BYTES: dict[str, Callable[[Model, str], float]] = {
    "file_gb": lambda model, name: weights_bytes(model, name) / 1e9,
    "total_gb": lambda model, name: _total_bytes(model, name) / 1e9,
    "least_ram_gib": _least_ram,
    "bits_per_weight": lambda model, name: 8 * weights_bytes(model, name) / parameters(model),
    "times_smaller": lambda model, name: weights_bytes(model, "F16") / weights_bytes(model, name),
}
