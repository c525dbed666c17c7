"""An installed llama-bench, run in rounds between plain reads of this machine's memory."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median
from typing import IO

from fitcheck.bench.bandwidth import Reader, native_reader
from fitcheck.errors import BadInput
from fitcheck.schema.machine import Pages

Progress = Callable[[float], None]

PROGRAM = "llama-bench"
_POLL_S = 0.1
_LONGEST_OUTPUT = 1 << 20
_READS = 3  # passes whose median is one reading of the bandwidth


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and the most memory it was seen to hold."""

    text: bytes
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the engine, and the mean of the plain reads just before and after it."""

    output: Output
    read_bytes_per_s: float


def find_llama_bench(given: str | None) -> str:
    """The program to run: the one named, else the one on PATH. Raises BadInput."""
    found = which(Path(given).expanduser()) if given else which(PROGRAM)
    if found:
        return str(found)
    where = f"{given} is no program that can be run" if given else f"no {PROGRAM} is on PATH"
    raise BadInput(where, f"install llama.cpp, or name its {PROGRAM} with --llama-bench PATH")


@dataclass(frozen=True, slots=True)
class Reads:
    """How to read beside the engine: as many threads, on the same kind of pages."""

    threads: int
    pages: Pages
    buffer_bytes: int


def run_rounds(
    command: Sequence[str], rounds: int, reads: Reads, limit_s: float, progress: Progress
) -> tuple[Round, ...]:
    """The engine and plain reads in turn. Raises BadInput where the engine fails or takes too long.

    One round is always run; where the time is up after it, the others are left out.
    """
    deadline = time.monotonic() + limit_s
    found: list[Round] = []
    with native_reader()(reads.buffer_bytes, reads.threads, (reads.pages,)) as reader:
        before = _reading(reader, reads)
        for number in range(rounds):
            if found and time.monotonic() > deadline:
                break
            output = run_program(command, deadline, limit_s)
            after = _reading(reader, reads)
            found.append(Round(output, 2 / (1 / before + 1 / after)))
            before = after
            progress((number + 1) / rounds)
    return tuple(found)


def run_program(command: Sequence[str], deadline: float, limit_s: float) -> Output:
    """Run to the end, and never leave the program behind: not on errors, not on Ctrl-C.

    Raises BadInput with the program's last words where it fails, and where the
    time is up.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with _started(command, out, errors) as process:
            resident = 0
            while process.poll() is None:
                resident = max(resident, _resident_bytes(process.pid))
                if time.monotonic() > deadline:
                    name = Path(command[0]).name
                    raise BadInput(
                        f"{name} took longer than {limit_s:.0f} s",
                        "allow it more with --time-limit, or ask for less with --depth and --prompt",
                    )
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        if process.returncode:
            raise _failed(command, process.returncode, errors)
        out.seek(0)
        return Output(out.read(_LONGEST_OUTPUT), resident)


@contextlib.contextmanager
def _started(
    command: Sequence[str], out: IO[bytes], errors: IO[bytes]
) -> Iterator["subprocess.Popen[bytes]"]:
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
    except OSError as error:
        raise BadInput(f"{command[0]} can't be run: {error.strerror}", "check the program") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _failed(command: Sequence[str], code: int, errors: IO[bytes]) -> BadInput:
    """The last line the program wrote that says something."""
    errors.seek(0)
    lines = errors.read(_LONGEST_OUTPUT).decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip() and line.strip().isprintable()]
    ending = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    name = Path(command[0]).name
    words = f": {said[-1][:160]}" if said else ""
    return BadInput(f"{name} {ending}{words}", f"try it yourself: {name} -m MODEL.gguf")


def _reading(reader: Reader, reads: Reads) -> float:
    reader.seconds(reads.threads, reads.pages)  # warm
    return reads.buffer_bytes / median(reader.seconds(reads.threads, reads.pages) for _ in range(_READS))


def _resident_bytes(pid: int) -> int:
    """What the program holds at the moment; 0 where it has just ended."""
    import psutil  # noqa: PLC0415 (30 ms that only a run needs)

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
