"""llama-server: one process for all rounds, on a port of this machine that was free."""

import contextlib
import socket
from collections.abc import Iterator

from fitcheck.bench.clock import Deadline
from fitcheck.bench.process import started
from fitcheck.runners.http import HOST, ServerSession, wait_until_loaded
from fitcheck.runners.task import Program, Task

_MARGIN = 64  # cells beyond those asked for
_CELLS = 256  # a context comes in multiples of it


class LlamaServer(Program):
    """Times a file with ``llama-server``."""

    name = "llama-server"

    @contextlib.contextmanager
    def session(self, task: Task, deadline: Deadline) -> Iterator[ServerSession]:
        port = _free_port()
        flags = _flags(task, port)
        with started((self.program, *flags)) as running:
            build = wait_until_loaded(running, port, deadline)
            yield ServerSession(running, port, task, deadline, flags, build)


def context_of(task: Task) -> int:
    """Cells that all of its tests fit into."""
    needed = task.depth + max(task.prompt, task.decoded) + _MARGIN
    return -(-needed // _CELLS) * _CELLS


def _flags(task: Task, port: int) -> tuple[str, ...]:
    flags: dict[str, object] = {
        "-m": task.file,
        "--host": HOST,
        "--port": port,
        "-c": context_of(task),
        "-t": task.threads,
        "-ub": task.ubatch,
        "-np": 1,
        "-ngl": 0,
    }
    if task.kv_type != "f16":
        flags |= {"-ctk": task.kv_type, "-ctv": task.kv_type}
    if task.flash_attention != "auto":
        flags["-fa"] = task.flash_attention
    return tuple(str(part) for flag in flags.items() for part in flag)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
