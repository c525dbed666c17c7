"""An Explanation: how a footprint comes about, line by line."""

from dataclasses import dataclass
from typing import Literal

from fitcheck.schema.plan import Conversion, MemoryItem, Placement
from fitcheck.schema.request import Request

Part = Literal["weights", "kv", "compute", "runtime"]


@dataclass(frozen=True)
class ExplanationLine:
    """One addend: what it is, how it is worked out, and what the rule rests on."""

    part: Part
    name: str
    rule: str
    bytes: int
    source: str


@dataclass(frozen=True)
class Explanation:
    """Lines whose bytes add up to ``total_bytes``: the model as one memory holds it.

    ``memory`` is the same spread over a machine's devices, where one was judged:
    what cards hold costs buffers on either side.
    """

    model: str
    format: str
    request: Request
    lines: tuple[ExplanationLine, ...]
    total_bytes: int
    memory: tuple[MemoryItem, ...] = ()
    peak_bytes: int = 0
    placement: Placement | None = None
    conversions: tuple[Conversion, ...] = ()
    notes: tuple[str, ...] = ()
