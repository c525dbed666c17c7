"""Somebody else's engines, run here on a file: one module each, and one row of ``RUNNERS``.

Which one runs is the first that is asked for by path, else the first that is
found, in this order: the program made for timing comes first.
"""

from collections.abc import Mapping

from fitcheck.errors import BadInput
from fitcheck.runners.binding import Binding
from fitcheck.runners.llama_bench import LlamaBench
from fitcheck.runners.llama_server import LlamaServer
from fitcheck.runners.task import Runner

RUNNERS: tuple[type[Runner], ...] = (LlamaBench, LlamaServer, Binding)


def find_runner(given: Mapping[str, str | None]) -> Runner:
    """What to run: the program named for one of the runners, else the first found. Raises BadInput."""
    for kind in RUNNERS:
        if path := given.get(kind.name):
            return _of(kind, path)
    for kind in RUNNERS:
        if runner := kind.found(None):
            return runner
    raise BadInput(
        "no llama-bench or llama-server is on PATH, and no xllamacpp is installed",
        "install llama.cpp, or name a program with --llama-bench PATH or --llama-server PATH",
    )


def _of(kind: type[Runner], path: str) -> Runner:
    if runner := kind.found(path):
        return runner
    raise BadInput(
        f"{path} is no program that can be run",
        f"install llama.cpp, or name its {kind.name} with --{kind.name} PATH",
    )
