"""What one token reads of a model's weights, type by type."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.assignment import Scheme, TypedTensors, chosen, kept, scheme_of
from fitcheck.footprint.mixes import find_format
from fitcheck.schema.model import Model


class ReadGroup(NamedTuple):
    """What one decode step reads in one type."""

    type: str
    bytes: int
    weights: int
    matrices: int  # products of a token, for costs that come once a product
    prompt_weights: int = 0  # multiplied for each token of a prompt: all but the output, asked for once
    prompt_bytes: int = 0  # read for them by many tokens together, which pass through all experts
    expert_bytes: int = 0  # of the bytes, those of experts that the token chose
    odd_weights: int = 0  # of the weights, those in rows that pieces of neither 512 nor 768 make up


# Weights of a row at once: ggml_tiled_narrow_k_extent in ggml-cpu/tiled/tiled.cpp, b11434
_PIECES = (512, 768)


class Reads:
    """What a token reads, gathered by type."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, int, int, int]] = {}

    def add(self, name: str, size: int, weights: int, matrices: int, experts: int) -> None:
        """Bytes, weights and matrices of a type, and of the bytes those of chosen experts."""
        if known := self._sums.get(name):
            bytes_, weights_, matrices_, experts_ = known
            self._sums[name] = (bytes_ + size, weights_ + weights, matrices_ + matrices, experts_ + experts)
        else:
            self._sums[name] = (size, weights, matrices, experts)

    @property
    def groups(self) -> tuple[ReadGroup, ...]:
        return tuple(
            [
                ReadGroup(name, size, weights, matrices, expert_bytes=experts)
                for name, (size, weights, matrices, experts) in self._sums.items()
            ]
        )


STACKED = "_exps."
"""In the names of experts' tensors, which --n-cpu-moe moves: LLM_FFN_EXPS_REGEX in common/common.h."""

PER_PROMPT = ("embedding", "output")
"""Parts of a model that a prompt of any length multiplies by once: its last token's scores."""


def read_groups(model: Model, format_name: str) -> tuple[ReadGroup, ...]:
    """What one token reads: a row of a looked-up table, the active experts, all else whole."""
    return tally(model, format_name).groups


def tally(model: Model, format_name: str) -> "Tally":
    """A format's tensors added up. Raises UnknownName."""
    form = find_format(format_name)
    found = _of_kept(model, scheme_of(form)).copy()
    found.add(chosen(model, form))
    return found


@lru_cache(maxsize=64)
def _of_kept(model: Model, scheme: Scheme) -> "Tally":
    """Of what all formats of the scheme have alike."""
    found = Tally()
    found.add(kept(model, scheme))
    return found


class Tally:
    """Tensors added up: their bytes, and type by type what one token reads of them."""

    def __init__(self) -> None:
        self.bytes = self.table_bytes = self.expert_bytes = self.expert_bytes_read = 0
        self._reads: dict[str, list[int]] = {}

    def copy(self) -> "Tally":
        """To add others to."""
        other = Tally()
        other.bytes, other.table_bytes = self.bytes, self.table_bytes
        other.expert_bytes, other.expert_bytes_read = self.expert_bytes, self.expert_bytes_read
        other._reads = {name: sums.copy() for name, sums in self._reads.items()}
        return other

    def add(self, tensors: Iterable[TypedTensors]) -> None:
        for group, name, count, _, size, read in tensors:
            self.bytes += size
            tensor_name, part, cols, _, stack, _, rows_read, stack_read = group.tensor
            if part == "embedding":
                self.table_bytes += size
            elif STACKED in tensor_name:
                self.expert_bytes += size
                self.expert_bytes_read += read
            if (sums := self._reads.get(name)) is None:
                sums = self._reads[name] = [0, 0, 0, 0, 0, 0, 0]
            if group.unused:
                continue
            weights = cols * rows_read * stack_read * count
            sums[0] += read
            sums[1] += weights
            if rows_read > 1:
                sums[2] += stack_read * count
            if part not in PER_PROMPT:
                sums[3] += weights
                sums[4] += size
            if 1 < stack != stack_read:
                sums[5] += read
            if cols % _PIECES[0] and cols % _PIECES[1]:
                sums[6] += weights

    @property
    def groups(self) -> tuple[ReadGroup, ...]:
        """Type by type, as they came."""
        return tuple([ReadGroup(name, *sums) for name, sums in self._reads.items()])
