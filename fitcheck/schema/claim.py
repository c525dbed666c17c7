"""A Claim: a figure that an article prints, and what fitcheck makes of it."""

from dataclasses import dataclass
from typing import Literal

ClaimedFigure = Literal[
    "file_gb", "total_gb", "least_ram_gib", "bits_per_weight", "times_smaller", "tokens_per_s"
]
"""The file, all that must be resident (GB), the RAM that leaves room for the
system too (GiB), the file beside the F16 one, and decode speed."""

Judgement = Literal["holds", "too low", "too high"]


@dataclass(frozen=True)
class Claim:
    """What an article says of a model in one of several formats, all taken in its favour."""

    article: str
    quote: str
    model: str
    formats: tuple[str, ...]
    figure: ClaimedFigure
    says: tuple[float, float]  # from, to
    machine: str | None = None
    ram_bytes: int | None = None
    why: str | None = None  # what the author may have overlooked


@dataclass(frozen=True)
class Finding:
    """The claim's figure as fitcheck computes it: lowest and highest over the formats."""

    claim: Claim
    low: float
    high: float
    judgement: Judgement
