"""A published run with all it names: ready to be predicted by any engine profile."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fitcheck.footprint.reads import ReadGroup
from fitcheck.footprint.shards import shard_of
from fitcheck.schema.accuracy import Published, PublishedRun
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Decode, Runner
from fitcheck.speed.parallel import ParallelDecoder

Row = TypeVar("Row", bound=Published)


@dataclass(frozen=True, slots=True)
class Known(Generic[Row]):
    """A published row with the model and the machine that it names, and what a token reads."""

    run: Row
    model: Model
    machine: Machine
    groups: tuple[ReadGroup, ...]


@dataclass(frozen=True, slots=True)
class Case(Known[PublishedRun]):
    """A decode speed."""

    def predict(self, engine: Engine) -> Decode:
        run = self.run
        request = Request(
            threads=run.threads,
            flash_attention=run.flash_attention,
            kv_type=run.kv_type,
            batch=run.batch,
            speculate=run.speculate,
            accept=run.accept,
            draft_bytes=run.draft_bytes,
        )
        if run.cards > 1 and engine.memory.several_cards == "tensors":
            runner = Runner(self.model, self.machine, engine, request, cards=run.cards)
            return ParallelDecoder(runner, shard_of(self.model, run.format, run.cards)).at(run.depth)
        return Runner(self.model, self.machine, engine, request).decoder(self.groups).at(run.depth)

    def ratio(self, engine: Engine) -> float:
        """Measured over expected speed."""
        return self.run.tokens_per_s / self.predict(engine).tokens_per_s.expected


def of_engine(cases: Iterable[Case], engine: Engine) -> list[Case]:
    return [c for c in cases if (c.run.engine, c.run.device) == (engine.name, engine.device)]


def without(cases: Sequence[Case], machine: str) -> list[Case]:
    """The cases of all other machines."""
    return [case for case in cases if case.run.machine != machine]
