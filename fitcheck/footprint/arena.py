"""A graph as the buffer sees it that llama.cpp computes in: tensors that live and die in a fixed order."""

from collections.abc import Callable
from typing import NamedTuple

NOTHING = -1


class Size(NamedTuple):
    """Elements of a tensor: a term for each thing its shape grows with."""

    token: int = 0  # elements a token of the micro-batch
    output: int = 0  # a token whose logits are wanted
    score: int = 0  # a token and cell of the cache
    cell: int = 0  # a cell of the cache, all slots together
    sequence: int = 0  # a slot
    window: int | None = None  # whose cells
    width: int = 4  # bytes of an element
    fixed: int = 0  # elements whatever the batch
    ratio: int = 1  # tokens that a cell stands for; where there is a window, those cells lie beside its own
    spare: int = 0  # a slot but one, where they share cells
    most: int = 0  # no more cells of a slot than that, where it isn't 0


class Tape:
    """Records which tensors a graph takes and gives back, in the engine's order.

    A move is a tensor and the number of its size, or -1 where it is given back.
    """

    def __init__(self, flash: bool, quantized: bool) -> None:
        self.flash = flash
        self.shares_cells = False  # whether slots share the cache's cells, and no block can be masked
        self.quantized = quantized  # the cache, whose rows are then turned before they are rounded
        self.rotates = True  # whether attention turns queries and keys by their position
        self.projects = True  # whether attention ends with its output's product, or leaves that for later
        self.turns_back = True  # whether attention turns back what it read of a turned cache, or leaves that
        self.ahead_of_rest: Callable[[], None] | None = None  # what else is made then (Kimi K3)
        self.ahead: tuple[int, ...] = ()  # elements a slot of states that the next part reads first of all
        self.gathered: list[int] = []  # such states, once they are read
        self.given: list[int] = []  # inputs of the cache that the running layer reads, until it has
        self.picked = False  # whether only the rows of wanted outputs are left
        self.tokens = NOTHING  # the batch's, which a table of experts looks up too
        self.wanted = NOTHING  # numbers of the rows whose outputs are wanted
        self.picks = False  # whether the feed-forward block picks those rows itself
        self.blanks: list[int] = []  # laid out at the start for layers whose cells are chosen, in their order
        self.compressed: dict[int, tuple[int, ...]] = {}  # by ratio: a mask, and what goes with it
        self.chosen: int | None = None  # cells that the last indexer chose, where layers behind it share them
        self.shares = False  # whether they do
        self.windowed = False  # whether some layers have a window
        self.norms_values = False  # whether values are normed, as keys are
        self.widest_value = 0  # to which all values are widened, without flash attention
        self.norms_weights = True  # whether the weights of the chosen experts are made to sum to one
        self.activates_apart = (
            False  # whether a gate's activation takes a tensor of its own, before up is made
        )
        self.beside: int | None = None  # values of attention that waits for a mixer beside it
        self.waiting: object = None  # that attention
        self.shifted = self.unstored = NOTHING  # of RWKV: the states of inputs; the time mix's input
        self.lasting: int | None = None  # made by the first layer and read by all others (RWKV 7, MiniMax M3)
        self.moves: list[tuple[int, int]] = []
        self.sizes: dict[Size, int] = {}  # with their numbers
        self._uses: list[int] = []

    def take(
        self,
        token: int = 0,
        *,
        score: int = 0,
        cell: int = 0,
        sequence: int = 0,
        window: int | None = None,
        width: int = 4,
        fixed: int = 0,
        ratio: int = 1,
        spare: int = 0,
        most: int = 0,
        uses: int = 1,
    ) -> int:
        """A new tensor of that Size, which goes once ``uses`` have dropped it."""
        rows = (0, token) if self.picked else (token, 0)
        size = Size(*rows, score, cell, sequence, window, width, fixed, ratio, spare, most)
        self.moves.append((len(self._uses), self.sizes.setdefault(size, len(self.sizes))))
        self._uses.append(uses)
        return len(self._uses) - 1

    @property
    def tensors(self) -> int:
        """How many were taken."""
        return len(self._uses)

    def last_use(self, tensor: int) -> bool:
        """Whether but one user is left, so that it may write its result there."""
        return self._uses[tensor] == 1

    def keep(self, tensor: int) -> int:
        """One user more."""
        self._uses[tensor] += 1
        return tensor

    def gather(self, sizes: tuple[int, ...]) -> None:
        """Read states of these sizes out of the cache, a row for each slot."""
        self.gathered = [self.take(sequence=size) for size in sizes]

    def expand(self) -> None:
        """The end of what is built at once: the next part's states come before the rest of this one."""
        if self.ahead_of_rest is not None:
            self.ahead_of_rest()
        if self.ahead:
            self.gather(self.ahead)

    def done_with_cache(self) -> None:
        """Attention has read the cache: its mask and places go with their last layer."""
        self.drop(*self.given)
        self.given = []

    def drop(self, *tensors: int) -> None:
        """A user of each is done with it; what nobody uses any more is given back."""
        for tensor in tensors:
            self._uses[tensor] -= 1
            if not self._uses[tensor]:
                self.moves.append((tensor, -1))
