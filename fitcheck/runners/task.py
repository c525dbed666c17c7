"""What a runner is asked for, and what it answers."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import ClassVar, NamedTuple, Protocol, Self

from fitcheck.bench.clock import Deadline
from fitcheck.schema.request import FlashAttention

REPETITIONS = 2  # of each test in a round


@dataclass(frozen=True, slots=True)
class Task:
    """A file, what to do with it, and with what settings."""

    file: Path
    prompt: int  # tokens of the prefill test; 0 for none
    decoded: int
    depth: int  # tokens in the cache before either test
    threads: int
    ubatch: int
    kv_type: str
    flash_attention: FlashAttention
    vocab_size: int


class Timed(NamedTuple):
    """Tokens a second of each repetition of one round."""

    decode: tuple[float, ...]
    prefill: tuple[float, ...]
    build: str | None  # of the engine, where it says
    resident_bytes: int


class Session(Protocol):
    """An engine that is ready to be timed."""

    @property
    def flags(self) -> tuple[str, ...]:
        """All it was called with."""
        ...

    @property
    def features(self) -> frozenset[str] | None:
        """Of the CPU, those it was built for; None where it doesn't say."""
        ...

    def turn(self) -> Timed:
        """One round. Raises BadInput where the engine fails or the time is up."""
        ...


class Runner(Protocol):
    """An installed program, or library, that runs GGUF files."""

    name: ClassVar[str]

    @classmethod
    def found(cls, given: str | None) -> Self | None:
        """The one named, else the one installed; None where there is none."""
        ...

    def session(self, task: Task, deadline: Deadline) -> AbstractContextManager[Session]:
        """Start it, and end it whatever happens, Ctrl-C too."""
        ...


@dataclass(frozen=True)
class Program:
    """A runner that is a program: the one of its name, or another that answers as it does."""

    program: str
    name: ClassVar[str]

    @classmethod
    def found(cls, given: str | None) -> Self | None:
        """The one named, else the one on PATH; None where there is none."""
        program = which(Path(given).expanduser()) if given else which(cls.name)
        return cls(str(program)) if program else None
