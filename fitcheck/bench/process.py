"""Other people's programs: started, watched, and never left behind."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fitcheck.bench.clock import Deadline
from fitcheck.errors import BadInput

POLL_S = 0.1
_LONGEST_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and the most memory it was seen to hold."""

    text: bytes
    resident_bytes: int


@dataclass
class Running:
    """A program at work. ``input`` ends when we do, for programs that mind."""

    name: str
    process: "subprocess.Popen[bytes]"
    out: IO[bytes]
    errors: IO[bytes]
    resident_bytes: int = field(default=0)

    def watch(self, deadline: Deadline) -> None:
        """See how much memory it holds. Raises BadInput where it failed or took too long."""
        self.resident_bytes = max(self.resident_bytes, _resident_bytes(self.process.pid))
        if self.process.poll():
            raise self.failure()
        if deadline.passed:
            raise deadline.missed_by(self.name)

    def printed(self) -> bytes:
        self.out.seek(0)
        return self.out.read(_LONGEST_OUTPUT)

    def failure(self) -> BadInput:
        """The last line the program wrote that says something."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read(_LONGEST_OUTPUT).decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip() and line.strip().isprintable()]
        ending = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        ending = ending if code else "ended before it answered"
        words = f": {said[-1][:160]}" if said else ""
        return BadInput(f"{self.name} {ending}{words}", f"try it yourself: {self.name} -m MODEL.gguf")


def run_program(command: Sequence[str], deadline: Deadline) -> Output:
    """Run to the end. Raises BadInput where it fails, with its last words, and where the time is up."""
    with started(command) as running:
        while running.process.poll() is None:
            running.watch(deadline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(POLL_S)
        if running.process.returncode:
            raise running.failure()
        return Output(running.printed(), running.resident_bytes)


@contextlib.contextmanager
def started(
    command: Sequence[str], name: str | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """The program at work, killed at the end if it still is: on errors and on Ctrl-C too. Raises BadInput.

    Its standard input is a pipe of ours that stays open as long as we live.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=errors, env=env)
        except OSError as error:
            raise BadInput(f"{command[0]} can't be run: {error.strerror}", "check the program") from error
        try:
            yield Running(name or Path(command[0]).name, process, out, errors)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()


def _resident_bytes(pid: int) -> int:
    """What the program holds at the moment; 0 where it has just ended."""
    import psutil  # noqa: PLC0415 (30 ms that only a run needs)

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
