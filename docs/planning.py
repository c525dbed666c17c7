"""What planning costs in CPU time: ``python docs/planning.py [EVERY]``, with every so many-th model only."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from fitcheck.planner import plan
from fitcheck.ranking import Refused, plan_each
from fitcheck.schema.machine import Gpu, Machine
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
    """All formats of one model, then all models on as many machines, spread over the catalogue."""
    for machine in _machines():
        for name in MODELS:
            model = load_model(name)
            once = _seconds(lambda model=model, machine=machine: plan(model, machine, Request(), ENGINES))
            print(f"{machine.name:22} {name:15} {1e3 * once:6.1f} ms")
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    models = [load_model(stem) for stem in stems("models")[::every]]
    names = stems("machines")
    machines = [load_machine(name) for name in names[:: len(names) // MACHINES][:MACHINES]]
    begin, rows = time.process_time(), 0
    for machine in machines:
        answers = plan_each(models, machine, Request(), ENGINES)
        rows += sum(len(answer.plans) for answer in answers if not isinstance(answer, Refused))
    taken = time.process_time() - begin
    print(f"{len(models)} models x {len(machines)} machines: {rows} rows, {taken:.1f} s, "
          f"{1e6 * taken / rows:.0f} us a row")  # fmt: skip


def _machines() -> tuple[Machine, ...]:
    """A desktop, without and with cards."""
    bare = replace(load_machine("desktop-ddr5"), name="64 GiB", ram_bytes=64 * GIB)
    card = Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 1008e9)
    return (
        bare,
        replace(bare, name="64 GiB, one card", gpus=(card,)),
        replace(bare, name="64 GiB, two cards", gpus=(card, card)),
    )


def _seconds(ask: Callable[[], object]) -> float:
    """CPU time of one more answer, the median of eleven after a first."""
    ask()
    taken = []
    for _ in range(11):
        begin = time.process_time()
        ask()
        taken.append(time.process_time() - begin)
    return median(taken)


if __name__ == "__main__":
    main()
