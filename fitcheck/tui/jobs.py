"""What can be measured from inside the app: probe, bench, verify. Runs in a thread; no Textual here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import NamedTuple

from fitcheck.schema.machine import Machine
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.tui.plot import Mark
from fitcheck.tui.world import Question
from fitcheck.units import counted, gb_per_s, gib, rate

Progress = Callable[[float], None]


class Cancelled(Exception):
    """Raised inside a measurement to end it: its context managers give everything back."""


class Measured(NamedTuple):
    """A measured speed of a model in a format, for the plot."""

    model: str
    format: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job showed, in lines of label and figure, and what the app keeps of it."""

    lines: Sequence[tuple[str, str]]
    machine: Machine | None = None  # this machine, with what was measured on it
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class Job:
    title: str
    about: str
    run: Callable[[Progress], Outcome]


class Cancel:
    """A progress callback that ends the work once somebody asked for it."""

    def __init__(self, tell: Progress) -> None:
        self._tell, self._asked = tell, Event()

    def ask(self) -> None:
        self._asked.set()

    def __call__(self, share: float) -> None:
        if self._asked.is_set():
            raise Cancelled
        self._tell(share)


def real_jobs(question: Question, row: FormatPlan, here: Machine) -> tuple[Job, ...]:
    """The measurements of this machine; ``verify`` runs the model in the selected format."""
    return (
        Job("probe", "read this machine's memory with every number of threads (3 s)", _probe),
        Job(
            "bench",
            "time the packed kernels beside plain reads (half a minute)",
            lambda tell: _bench(here, tell),
        ),
        Job(
            "verify",
            f"run the shape of {question.model.name} in {row.format} on this machine, beside the prediction",
            lambda tell: _verify(question, row.format, here, tell),
        ),
    )


def _probe(tell: Progress) -> Outcome:
    from fitcheck.probe import probe_machine  # noqa: PLC0415 (all below: only a measurement needs them)

    machine = probe_machine(measure=True, fresh=True, progress=tell)
    rows = [
        (f"{counted(r.threads, 'thread')}, {r.pages} pages", gb_per_s(r.bytes_per_s))
        for r in machine.read_bandwidth
    ]
    return Outcome((*rows, *(("note", note) for note in machine.notes)), machine)


def _bench(here: Machine, tell: Progress) -> Outcome:
    from fitcheck.bench import native  # noqa: PLC0415
    from fitcheck.bench.run import run_benchmark  # noqa: PLC0415
    from fitcheck.probe import probe_machine  # noqa: PLC0415
    from fitcheck.probe.cache import remember  # noqa: PLC0415
    from fitcheck.probe.machine import buffer_bytes  # noqa: PLC0415

    done = run_benchmark(here, native.formats_with_vectors(), None, buffer_bytes(here), progress=tell)
    kept = {rate.format: rate for rate in (*here.kernel_rates, *done.rates)}
    note = remember(here, kernel_rates=kept.values())
    lines = [
        (
            f"{k.format} {k.isa}",
            f"{gb_per_s(k.bytes_per_s)}, {k.share_of_read_bandwidth:.0%} of the read bandwidth"
            f"{'' if k.stable else ', unstable'}",
        )
        for k in done.benchmark.kernels
    ]
    return Outcome((*lines, *((("note", note),) if note else ())), probe_machine())


def _verify(question: Question, format_name: str, here: Machine, tell: Progress) -> Outcome:
    from fitcheck.verify import verify  # noqa: PLC0415

    asked = question.request
    request = Request(context=asked.context, kv_type=asked.kv_type, threads=asked.threads)
    seen = verify(question.model, format_name, here, question.engines, request, progress=tell)
    lines = (
        ("predicted", f"{rate(seen.predicted_tokens_per_s)} tokens/s"),
        ("measured", f"{rate(seen.measured_tokens_per_s)} tokens/s"),
        ("error of the prediction", f"{seen.error:+.1%}"),
        (
            "layers run",
            f"{seen.layers_run} of {seen.layers_total}, {seen.isa}, {counted(seen.threads, 'thread')}",
        ),
        ("plain reads beside it", gb_per_s(seen.read_bandwidth_bytes_per_s)),
        ("resident", gib(seen.resident_bytes)),
        *(("note", note) for note in seen.notes),
        *((("unstable", seen.unstable_why),) if seen.unstable_why else ()),
    )
    mark = Mark(seen.depth, seen.measured_tokens_per_s)
    return Outcome(lines, measured=Measured(seen.model, seen.format, mark))
