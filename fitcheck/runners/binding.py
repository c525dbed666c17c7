"""xllamacpp, llama.cpp as a Python library: its server in a process of its own, asked as llama-server is."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from fitcheck.bench.clock import Deadline
from fitcheck.bench.process import POLL_S, Running, started
from fitcheck.runners.http import ServerSession, wait_until_loaded
from fitcheck.runners.llama_server import context_of
from fitcheck.runners.task import Task

MODULE = "fitcheck.runners.binding_process"


@dataclass(frozen=True)
class Binding:
    """The library that is installed beside fitcheck."""

    name: ClassVar[str] = "xllamacpp"

    @classmethod
    def found(cls, given: str | None) -> Self | None:
        return cls() if given is None and find_spec(cls.name) else None

    @contextlib.contextmanager
    def session(self, task: Task, deadline: Deadline) -> Iterator[ServerSession]:
        asked = json.dumps(asdict(task) | {"file": str(task.file), "context": context_of(task)})
        command = (sys.executable, "-m", MODULE, asked)
        with started(command, self.name) as running:
            said = _first_words(running, deadline)
            build = wait_until_loaded(running, said["port"], deadline)
            features = frozenset(said["features"])
            yield ServerSession(
                running, said["port"], task, deadline, (asked,), said["build"] or build, features
            )


def _first_words(running: Running, deadline: Deadline) -> dict[str, Any]:
    """Where the server listens, and what it is: a line of JSON once the model is loaded. Raises BadInput."""
    while b"\n" not in (text := running.printed()):
        running.watch(deadline)
        if running.process.poll() == 0:
            raise running.failure()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(POLL_S)
    said: dict[str, Any] = json.loads(text.splitlines()[-1])
    return said
