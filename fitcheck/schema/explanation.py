"""An Explanation: how a footprint comes about, line by line."""

from dataclasses import dataclass
from typing import Literal

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
    """Lines whose bytes add up to ``total_bytes``."""

    model: str
    format: str
    request: Request
    lines: tuple[ExplanationLine, ...]
    total_bytes: int
