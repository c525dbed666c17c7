"""What mechanisms are described in: tensors, caches, states; their registry, and how they are run.

``cols`` is GGUF's ne[0], the input dimension. Vectors, norms, biases, routers
and small convolutions stay F32 in every mix (tensor_allows_quantization in
src/llama-quant.cpp).
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from fitcheck.footprint.arena import Tape

Part = Literal["embedding", "attention", "state", "ffn", "experts", "norm", "output", "other"]


class Tensor(NamedTuple):
    """One tensor of the file: ``stack`` matrices of ``rows`` rows of ``cols`` weights.

    ``keep`` is the type it has in every mix; None leaves the choice to the
    mix. A decode step reads ``rows_read`` rows of ``stack_read`` matrices.
    """

    name: str
    part: Part
    cols: int
    rows: int
    stack: int
    keep: str | None
    rows_read: int
    stack_read: int

    @property
    def weights(self) -> int:
        return self.cols * self.rows * self.stack

    @property
    def weights_read(self) -> int:
        return self.cols * self.rows_read * self.stack_read


class Cache(NamedTuple):
    """Elements a layer keeps of every token, and how many tokens back it looks."""

    key: int
    value: int
    heads: int = 1  # that share the row
    window: int | None = None
    owned: bool = True  # False where it reads what another layer keeps
    ratio: int = 1  # tokens that one row stands for
    each_slot: bool = False  # every slot has cells of its own, even where the others share theirs
    apart: bool = False  # kept by itself, so that other layers' widths don't matter


class Mechanism(NamedTuple):
    """What the file holds of a part of a layer, and what running it keeps."""

    tensors: tuple[Tensor, ...]
    caches: tuple[Cache, ...] = ()
    state: int = 0  # F32 elements a sequence, whatever the context


def matrix(name: str, part: Part, cols: int, rows: int) -> Tensor:
    """A matrix whose type the mix chooses."""
    return Tensor(name + ".weight", part, cols, rows, 1, None, rows, 1)


def stacked(name: str, part: Part, cols: int, rows: int, *, stack: int, read: int) -> Tensor:
    """``stack`` matrices in one tensor, of which a token needs ``read``."""
    return Tensor(name + ".weight", part, cols, rows, stack, None, rows, read)


def small(name: str, part: Part, cols: int, rows: int = 1, rows_read: int | None = None) -> Tensor:
    """A vector or a small matrix that stays F32."""
    return Tensor(name, part, cols, rows, 1, "F32", rows if rows_read is None else rows_read, 1)


def half(name: str, part: Part, cols: int, rows: int, stack: int = 1) -> Tensor:
    """Matrices that keep the 16 bits of the source in every mix."""
    return Tensor(name + ".weight", part, cols, rows, stack, "F16", rows, stack)


def unread(tensor: Tensor) -> Tensor:
    """The tensor as one that lies in the file without being used."""
    return tensor._replace(rows_read=0)


Kind = TypeVar("Kind")
Stored = Callable[[Kind, int], Mechanism]
"""What a part stores, given the hidden size."""
Run = Callable[[Kind, Tape, int, int], int]
"""Records a part, given the tape, the hidden size and the tensor it reads; see ``run``."""
First = Callable[[Kind, int], tuple[int, ...]]
"""Elements a slot of each state that it reads before anything else is made."""


class _Registered(NamedTuple):
    stored: Stored[Any]
    run: Run[Any]
    first: First[Any] | None


_REGISTRY: dict[type, _Registered] = {}


def register(kind: type[Kind], stored: Stored[Kind], run: Run[Kind], first: First[Any] | None = None) -> None:
    """Make a mechanism known: its one place."""
    _REGISTRY[kind] = _Registered(stored, run, first)


def describe(mechanism: object, hidden_size: int) -> Mechanism:
    """The tensors and the cache of one mixer or feed-forward block."""
    return _REGISTRY[type(mechanism)].stored(mechanism, hidden_size)


def run(part: object, tape: Tape, hidden: int, source: int) -> int:
    """Record a part that reads ``source`` and drops it; the tensor it leaves has ``hidden`` rows."""
    return _REGISTRY[type(part)].run(part, tape, hidden, source)


def states_first(part: object, hidden: int) -> tuple[int, ...]:
    """Elements a slot of each state that a part reads first of all, into ``tape.gathered``; none of most."""
    known = _REGISTRY.get(type(part))
    return known.first(part, hidden) if known and known.first else ()


def project(
    tape: Tape, size: int, source: int, *, sequence: int = 0, score: int = 0, window: int | None = None
) -> int:
    """A product with a matrix: the result, and its source is done with."""
    result = tape.take(size, sequence=sequence, score=score, window=window)
    tape.drop(source)
    return result
