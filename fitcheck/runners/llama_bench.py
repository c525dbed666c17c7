"""llama-bench: the program that llama.cpp times itself with. It starts anew for each round."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fitcheck.bench.clock import Deadline
from fitcheck.bench.process import run_program
from fitcheck.errors import BadInput
from fitcheck.runners.task import REPETITIONS, Program, Task, Timed
from fitcheck.sources.llama_bench import BenchRow, bench_rows


class LlamaBench(Program):
    """Times a file with ``llama-bench``."""

    name = "llama-bench"

    @contextlib.contextmanager
    def session(self, task: Task, deadline: Deadline) -> Iterator["_Session"]:
        """Nothing runs between the rounds."""
        yield _Session(self.program, _flags(task), bool(task.prompt), deadline)


@dataclass(frozen=True)
class _Session:
    program: str
    flags: tuple[str, ...]
    prompted: bool
    deadline: Deadline
    features: None = None

    def turn(self) -> Timed:
        output = run_program((self.program, *self.flags), self.deadline)
        rows = bench_rows(output.text)
        decode = _test(rows, "decoded")
        prefill = _test(rows, "prompt").tokens_per_s if self.prompted else ()
        return Timed(decode.tokens_per_s, prefill, decode.build, output.resident_bytes)


def _flags(task: Task) -> tuple[str, ...]:
    """llama-bench's own words for the task; every build of the last years knows these."""
    flags: dict[str, object] = {
        "-m": task.file,
        "-p": task.prompt,
        "-n": task.decoded,
        "-d": task.depth,
        "-t": task.threads,
        "-ub": task.ubatch,
        "-r": REPETITIONS,
        "-ngl": 0,
        "-o": "json",
    }
    if task.kv_type != "f16":
        flags |= {"-ctk": task.kv_type, "-ctv": task.kv_type}
    if task.flash_attention != "auto":
        flags["-fa"] = int(task.flash_attention == "on")
    return tuple(str(part) for flag in flags.items() for part in flag)


def _test(rows: tuple[BenchRow, ...], what: Literal["prompt", "decoded"]) -> BenchRow:
    """The test of prompt or of decoded tokens. Raises BadInput where it is missing."""
    for row in rows:
        if getattr(row, what):
            return row
    raise BadInput("llama-bench left out a test that was asked for", "try a newer llama.cpp")
