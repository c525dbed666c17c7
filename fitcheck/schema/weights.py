"""FileWeights: what a real file of weights holds, counted from its own tensor table."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["embedding", "attention", "state", "ffn", "experts", "norm", "output", "prediction", "other"]
"""What tensors are for. ``state`` is recurrent and convolutional mixers, ``prediction``
the layers of multi-token prediction, which decode doesn't read."""


@dataclass(frozen=True)
class WeightGroup:
    """All tensors of one type and one part, together."""

    type: str
    part: Part
    tensors: int
    weights: int
    bytes: int
    weights_read: int  # for each decoded token
    bytes_read: int


@dataclass(frozen=True)
class FileWeights:
    """A file's weights, exact. The groups' bytes add up to ``tensor_bytes``."""

    name: str  # the mix the file says it has, as Q4_K_M; else the type of most bytes
    groups: tuple[WeightGroup, ...]
    tensor_bytes: int
    file_bytes: int  # with header, vocabulary and padding, all parts together
    notes: tuple[str, ...] = ()
    layers: tuple[tuple[int, int], ...] = ()  # bytes of each: all but stacked experts, and those; () unknown
