"""How layers of a graph read the hidden state and give back to it.

Most norm it and add to it. DeepSeek V4 mixes several such states before and
after each part; Kimi K3 weighs the sums that earlier blocks of layers left;
Gemma 3n predicts several states and corrects them.
"""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.schedules import project
from fitcheck.schema.model import AltUp, Model

# Norms only after attention and feed-forward, none before.
_NORMED_AFTER = frozenset({"olmo2", "exaone4"})

_BANKED = 12
"""Kimi K3's layers a block: attn_res.block_size of its files."""


class Residual:
    """One hidden state, normed by each part and added to."""

    def __init__(self, model: Model, tape: Tape) -> None:
        self.hidden = model.hidden_size
        self.tape = tape
        self.in_place = model.architecture in _NORMED_AFTER

    def begin(self, rows: int) -> int:
        """The state that the first layer reads, from the embeddings."""
        return rows

    def enter(self, rows: int) -> int:
        """What a part reads."""
        return self.tape.keep(rows) if self.in_place else self.tape.take(self.hidden)

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        """The sum takes the place of one of the two."""
        kept, gone = (rows, part) if in_residual else (part, rows)
        self.tape.drop(gone)
        return kept

    def bank(self, number: int, rows: int) -> None:
        """Keep what the layer of that number read, where later ones weigh it."""

    def end(self, rows: int) -> int:
        """What the last norm reads."""
        return rows


class HyperConnections(Residual):
    """As many states as there are streams; a few numbers a token say how they mix."""

    def __init__(self, model: Model, tape: Tape) -> None:
        super().__init__(model, tape)
        self.streams = model.hyper_connections

    def begin(self, rows: int) -> int:
        return project(self.tape, self.streams * self.hidden, rows)

    def enter(self, rows: int) -> int:
        tape = self.tape
        self.mixes = project(tape, (2 + self.streams) * self.streams, tape.take(self.streams * self.hidden))
        return project(tape, self.hidden, tape.take(self.streams))

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        tape = self.tape
        read = [tape.take(self.streams), project(tape, self.streams * self.streams, self.mixes)]
        mixed = tape.take(self.streams * self.hidden)
        tape.drop(part, rows, *read)
        return mixed

    def end(self, rows: int) -> int:
        """One state again: the weighed sum of the rows that are wanted."""
        tape = self.tape
        tape.picked = True
        picked = project(tape, self.streams * self.hidden, rows)
        mixes = project(tape, self.streams, tape.take(self.streams * self.hidden))
        total = tape.take(self.hidden)
        for _ in range(self.streams - 1):
            tape.drop(tape.take(self.hidden))
        tape.drop(picked, mixes)
        return total


class Scored(Residual):
    """The state and those banked at the start of each block, weighed by a score."""

    def __init__(self, model: Model, tape: Tape) -> None:
        super().__init__(model, tape)
        self.banked: int | None = None
        self.blocks = 0

    def enter(self, rows: int) -> int:
        return self.tape.take(self.hidden) if self.banked is None else self._weigh()

    def _weigh(self) -> int:
        tape = self.tape
        for size in (self.blocks * self.hidden, self.hidden):  # normed to be scored
            tape.drop(tape.take(size))
        total = tape.take(self.hidden)
        tape.drop(tape.take(self.hidden))
        return total

    def bank(self, number: int, rows: int) -> None:
        self.starts = number % _BANKED == 0
        if not self.starts:
            return
        self.blocks += 1
        self.banked = rows if self.banked is None else self._joined(self.banked, rows)

    def _joined(self, banked: int, rows: int) -> int:
        joined = self.tape.take(self.blocks * self.hidden)
        self.tape.drop(banked, rows)
        return joined

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        """After a bank the part begins a new sum."""
        if self.starts:
            self.starts = False
            return part
        return super().leave(part, rows, in_residual=True)

    def end(self, rows: int) -> int:
        self.tape.drop(self._weigh(), *(() if self.banked is None else (self.banked,)))
        return rows


class Alternating(Residual):
    """Gemma 3n: several states, predicted before a layer and corrected after it, which works on one."""

    def __init__(self, model: Model, tape: Tape, altup: AltUp, slice_size: int) -> None:
        super().__init__(model, tape)
        self.rank, self.states, self.slice = altup.residual_rank, altup.inputs, slice_size
        self.attended = False

    def begin(self, rows: int) -> int:
        others = self._others()
        stacked = self.tape.take(self.states * self.hidden)
        self.tape.drop(others, rows)
        self.turned = self.tape.take(self.states * self.hidden)
        return stacked

    def _others(self) -> int:
        """All states but one, projected, and scaled to its length."""
        tape, size = self.tape, (self.states - 1) * self.hidden
        projected = project(tape, size, tape.take(size))
        tape.drop(tape.take(self.hidden))
        scaled = tape.take(size)
        tape.drop(projected)
        return scaled

    def enter(self, rows: int) -> int:
        if not self.attended:
            self._predict(rows)
        source = self.tape.take(self.hidden)
        if not self.attended:
            self.normed = self.tape.keep(source)
        return source

    def _predict(self, rows: int) -> None:
        tape, size = self.tape, self.states * self.hidden
        coefficients = project(tape, self.states * self.states, tape.take(self.hidden))
        mixed = tape.take(size)
        tape.drop(self.turned, coefficients)
        self.predicted = project(tape, size, mixed)
        tape.drop(rows)

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        self.attended = not self.attended
        if self.attended:
            low = project(self.tape, self.hidden, self.tape.take(self.rank))
            self.tape.drop(self.normed, low)
            return part
        self.tape.drop(rows)
        return self._correct(part)

    def _correct(self, part: int) -> int:
        tape, size = self.tape, self.states * self.hidden
        corrected = project(tape, size, tape.take(self.hidden))
        tape.drop(part, self.predicted)
        first = project(tape, self.hidden, project(tape, self.slice, tape.take(self.hidden)))
        others = tape.take(size - self.hidden)
        tape.drop(first)
        joined = tape.take(size)
        tape.drop(corrected, others)
        self.turned = tape.take(size)
        return joined

    def end(self, rows: int) -> int:
        self.tape.drop(self.turned)
        others = self._others()
        mean = self.tape.take(self.hidden)
        self.tape.drop(rows, others)
        return mean


def residual(model: Model, tape: Tape) -> Residual:
    """The model's way."""
    if model.altup is not None:
        size = model.per_layer_embedding.size if model.per_layer_embedding else 0
        return Alternating(model, tape, model.altup, size)
    if model.hyper_connections:
        return HyperConnections(model, tape)
    return (Scored if model.residual_scores else Residual)(model, tape)
