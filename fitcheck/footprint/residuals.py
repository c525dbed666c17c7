"""How layers of a graph read the hidden state and give back to it.

Most norm it and add to it. DeepSeek V4 mixes several such states before and
after each part; Kimi K3 weighs the sums that earlier blocks of layers left;
Gemma 3n predicts several states and corrects them.
"""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms import project
from fitcheck.schema.model import AltUp, Experts, Model

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
        self.after: list[int] = []

    def begin(self, rows: int) -> int:
        self.attends = False
        return project(self.tape, self.streams * self.hidden, rows)

    def enter(self, rows: int) -> int:
        """How a feed-forward block's result goes back is worked out before it, attention's after it."""
        tape = self.tape
        self.mixes = project(tape, (2 + self.streams) * self.streams, tape.take(self.streams * self.hidden))
        self.attends = not self.attends
        if not self.attends:
            self.after = [tape.take(self.streams), tape.take(self.streams * self.streams)]
        before = tape.take(self.streams)
        if not self.attends:
            tape.drop(self.mixes)
        return project(tape, self.hidden, before)

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        tape = self.tape
        if self.attends:
            self.after = [tape.take(self.streams), project(tape, self.streams * self.streams, self.mixes)]
        mixed = tape.take(self.streams * self.hidden)
        tape.drop(part, rows, *self.after)
        return mixed

    def end(self, rows: int) -> int:
        """One state again: the weighed sum of the rows that are wanted."""
        tape = self.tape
        tape.picked = True
        picked = project(tape, self.streams * self.hidden, rows)
        tape.drop(tape.wanted)
        mixes = project(tape, self.streams, tape.take(self.streams * self.hidden))
        total, term = tape.take(self.hidden), tape.take(self.hidden)
        for _ in range(self.streams - 2):
            tape.drop(term)
            term = tape.take(self.hidden)
        tape.drop(picked, mixes, term)
        return total


class Scored(Residual):
    """The state and those banked at the start of each block, weighed by a score.

    What is banked is scored as soon as the engine builds what reads it: the
    next layer's mixer, or this layer's experts.
    """

    def __init__(self, model: Model, tape: Tape) -> None:
        super().__init__(model, tape)
        self.layers = model.layers
        self.banked: int | None = None
        self.blocks = 0
        self.number, self.mixing = 0, False  # the layer, and whether its mixer runs
        self.starting: int | None = None  # what a block starts with, before it is banked
        self.scores: list[tuple[int, int]] = []  # parts that are entered before they are read, and a tensor
        tape.ahead_of_rest = self._score_ahead

    def enter(self, rows: int) -> int:
        if self.banked is None and self.starting is None:
            return self.tape.take(self.hidden)
        return self._weigh(rows, self._due())

    def _due(self) -> int:
        """The scores that this part reads, made just now unless they were before."""
        waiting = [(parts - 1, scores) for parts, scores in self.scores]
        self.scores = [one for one in waiting if one[0] >= 0]
        return next((scores for parts, scores in waiting if parts < 0), None) or self._scored()

    def _score_ahead(self) -> None:
        dense = self.mixing and not any(isinstance(part, Experts) for part in self.layers[self.number].ffns)
        self.mixing = False
        self.scores.append((1 if dense else 0, self._scored()))

    def _scored(self) -> int:
        if self.starting is not None:
            self.banked = self.starting if self.banked is None else self._joined(self.banked, self.starting)
            self.starting = None
        return project(self.tape, self.blocks, self.tape.take(self.blocks * self.hidden))

    def _joined(self, banked: int, rows: int) -> int:
        joined = self.tape.take(self.blocks * self.hidden)
        self.tape.drop(banked, rows)
        return joined

    def _weigh(self, rows: int, scores: int, last: bool = False) -> int:
        """The sum of what is banked and of the state, whose place the last one takes for its own part."""
        tape = self.tape
        own = project(tape, 1, tape.take(self.hidden))
        both = tape.take(self.blocks + 1)
        tape.drop(scores, own)
        share = tape.take(self.blocks)
        total = tape.take(self.hidden)
        tape.drop(share)
        share = tape.take(1)
        tape.drop(both)
        part = rows if last else tape.take(self.hidden)
        tape.drop(share, part)
        return total

    def bank(self, number: int, rows: int) -> None:
        self.number, self.mixing = number, True
        self.starts = number % _BANKED == 0
        if self.starts:
            self.blocks += 1
            self.starting = rows

    def leave(self, part: int, rows: int, in_residual: bool) -> int:
        """After a bank the part begins a new sum."""
        if self.starts:
            self.starts = False
            return part
        return super().leave(part, rows, in_residual=True)

    def end(self, rows: int) -> int:
        total = self._weigh(rows, self._due(), last=True)
        if self.banked is not None:
            self.tape.drop(self.banked)
        return total


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
