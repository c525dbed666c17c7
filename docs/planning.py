"""What planning costs in CPU time: ``python docs/planning.py [EVERY]``.

The last line, every row of every plan, takes a minute or two: with EVERY only
each so many-th model is asked there. All other lines are of the whole catalogue.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import _lru_cache_wrapper
from statistics import median

from fitcheck.cli.main import SELDOM
from fitcheck.errors import FitcheckError
from fitcheck.planner import host_for, plan
from fitcheck.ranking import take_each
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import load_machine
from fitcheck.sources.profiles import stems

GIB = 1 << 30
MODELS = ("llama-3.1-8b", "llama-3.1-70b", "qwen3-30b-a3b", "deepseek-v3")
MACHINES = 50
ENGINES = load_engines()


def main() -> None:
    """All formats of one model, of each model, and all on machines spread over the catalogue."""
    gc.set_threshold(SELDOM)  # as the command does
    for machine in _machines():
        for name in MODELS:
            first, again = _one(load_model(name), machine)
            print(f"{machine.name:22} {name:15} first {1e3 * first:6.1f} ms, again {1e3 * again:6.1f} ms")
    names = stems("machines")
    machines = [load_machine(name) for name in names[:: len(names) // MACHINES][:MACHINES]]
    models = [load_model(stem) for stem in stems("models")]
    for machine in _machines()[1:3]:
        _every(models, machine)
    _forget()
    _sweep(models, machines)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process until here: {peak:.0f} MiB")
    _rows(models[:: int(sys.argv[1]) if len(sys.argv) > 1 else 1], machines)


def _every(models: list[Model], machine: Machine) -> None:
    """The first answer of each model, a median of three."""
    firsts = sorted((_one(model, machine, 3)[0], model.name) for model in models)
    worst = ", ".join(f"{name} {1e3 * first:.0f}" for first, name in firsts[:-6:-1])
    print(f"{machine.name}, each of {len(firsts)} models: first {1e3 * firsts[len(firsts) // 2][0]:.1f} ms, "
          f"a tenth above {1e3 * firsts[len(firsts) * 9 // 10][0]:.1f}, slowest {worst}")  # fmt: skip


def _one(model: Model, machine: Machine, times: int = 11) -> tuple[float, float]:
    """Seconds of a first answer and of one more, medians."""

    def ask() -> object:
        return plan(model, machine, Request(), ENGINES)

    first = []
    for _ in range(times):
        _forget()
        first.append(_seconds(ask))
    return median(first), median(_seconds(ask) for _ in range(times))


def _sweep(models: list[Model], machines: list[Machine]) -> None:
    """What ``fitcheck models`` asks: of all formats of each model the one to take, on each machine."""
    begin, answers = time.process_time(), 0
    hosts = [host_for(machine, Request(), ENGINES) for machine in machines]
    for model in models:  # all machines of one model together: what it needs is worked out once
        answers += sum(len(list(take_each((model,), host))) for host in hosts)
    taken = time.process_time() - begin
    print(f"the format to take: {len(models)} models x {len(machines)} machines: {answers} answers, "
          f"{taken:.2f} s, {1e6 * taken / answers:.0f} us each")  # fmt: skip


def _rows(models: list[Model], machines: list[Machine]) -> None:
    """Every row of every plan."""
    begin, rows = time.process_time(), 0
    for model in models:
        for machine in machines:
            try:
                rows += len(plan(model, machine, Request(), ENGINES).plans)
            except FitcheckError:  # a machine sold without memory
                continue
    taken = time.process_time() - begin
    print(f"all rows: {len(models)} models x {len(machines)} machines: {rows} rows, {taken:.1f} s, "
          f"{1e6 * taken / rows:.0f} us a row")  # fmt: skip


def _machines() -> tuple[Machine, ...]:
    """A desktop, without and with cards."""
    bare = replace(load_machine("desktop-ddr5"), name="64 GiB", ram_bytes=64 * GIB)
    large, small = (
        Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 1008e9),
        Gpu("NVIDIA GeForce RTX 3060", 12 * GIB, 360e9),
    )
    return (
        replace(bare, name="16 GiB", ram_bytes=16 * GIB),
        bare,
        replace(bare, name="64 GiB, a card of 12", gpus=(small,)),
        replace(bare, name="64 GiB, a card of 24", gpus=(large,)),
        replace(bare, name="64 GiB, two of 24", gpus=(large, large)),
    )


def _forget() -> None:
    """Empty every cache, as in a process that was asked nothing yet."""
    for cache in _caches():
        cache.cache_clear()


def _caches() -> Iterator["_lru_cache_wrapper[object]"]:
    for name, module in sys.modules.items():
        if name.startswith("fitcheck."):
            yield from (known for known in vars(module).values() if isinstance(known, _lru_cache_wrapper))


def _seconds(ask: Callable[[], object]) -> float:
    begin = time.process_time()
    ask()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
