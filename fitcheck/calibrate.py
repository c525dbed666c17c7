"""Learn an engine's factors on a machine from runs, and show what they change.

Pure but for ``engines_here``, which asks what is kept.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import fsum, log

from fitcheck.errors import BadInput
from fitcheck.expectation import bytes_per_token, predicted, prefill_speed
from fitcheck.planner import plan
from fitcheck.schema.calibration import CalibrationReport, Compared, Factors, Learned, Run, Shape
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine, ReadBandwidth
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.sources.calibration import Kept, load_calibration, save_calibration
from fitcheck.sources.calibration_path import machine_key
from fitcheck.sources.catalog import load_model
from fitcheck.speed.calibration import Evidence, calibrated, fit, spread, with_factors
from fitcheck.speed.engines import core_speed
from fitcheck.units import gb, gb_per_s, rate

# Small to large, dense and experts: what people run.
_EXAMPLES = (
    ("llama-3.2-3b", "Q8_0"),
    ("llama-3.1-8b", "Q4_K_M"),
    ("qwen3-14b", "Q6_K"),
    ("qwen3-30b-a3b", "Q4_K_M"),
    ("llama-3.1-70b", "Q4_K_M"),
)

_TO_LOW = 1.2816  # standard deviations from the middle to the 10th percentile


def engines_here(machine: Machine, engines: Sequence[Engine]) -> tuple[tuple[Engine, ...], str | None]:
    """The engines as the user's own runs on the machine moved them, and a notice for the user.

    Factors stand beside a profile and the core's speed: where a newer fitcheck
    brings another one, or ``bench`` times the core, they are learned again from
    the runs.
    """
    kept, notice = load_calibration(machine)
    if _stale(kept, machine, engines) and not machine.overrides:
        kept, notice = _brought_up_to_date(kept, machine, engines)
    return calibrated(engines, kept.learned), notice


def _brought_up_to_date(kept: Kept, machine: Machine, engines: Sequence[Engine]) -> tuple[Kept, str | None]:
    """Learned again, and kept where that can be; a plan never fails for it."""
    try:
        kept = _relearned(kept, machine, engines)
        save_calibration(kept)
    except BadInput as error:
        return kept, f"what was learned here is out of date: {error.message}"
    return kept, None


def learned_from(batch: Sequence[Run], kept: Kept, machine: Machine, engines: Sequence[Engine]) -> Kept:
    """What is kept, with another batch. Raises BadInput for a run that physics forbids."""
    for run in batch:
        question(run, machine, engines)
    batches = (*kept.batches, tuple(batch))
    return _relearned(Kept(machine_key(machine), batches), machine, engines)


def undone(kept: Kept, machine: Machine, engines: Sequence[Engine]) -> Kept:
    """What is kept, without the last batch. Raises BadInput where there is none."""
    if not kept.batches:
        raise BadInput(f"nothing was learned on {kept.machine}", "there is nothing to undo")
    return _relearned(replace(kept, batches=kept.batches[:-1]), machine, engines)


def _relearned(kept: Kept, machine: Machine, engines: Sequence[Engine]) -> Kept:
    return replace(kept, learned=learn(kept.runs, machine, engines))


def learn(runs: Sequence[Run], machine: Machine, engines: Sequence[Engine]) -> tuple[Learned, ...]:
    """The factors of each engine and device that was run; their order doesn't matter."""
    pairs = sorted({(run.engine, run.device) for run in runs})
    return tuple(
        _learn_one([run for run in runs if (run.engine, run.device) == pair], machine, engines)
        for pair in pairs
    )


def _learn_one(runs: Sequence[Run], machine: Machine, engines: Sequence[Engine]) -> Learned:
    engine = engine_of(runs[0], engines)
    evidence = _evidence(runs, machine, engine)
    decode, prefill = ([e for run, e in evidence if run.kind == kind] for kind in ("decode", "prefill"))
    factors = fit(decode, prefill)
    low, high = spread(decode, factors, _prior_spread(runs, machine, engine))
    asked = len({_asked(run) for run in runs})
    return Learned(engine.name, engine.device, factors, low, high, asked, checksum(engine, machine))


def _evidence(runs: Sequence[Run], machine: Machine, engine: Engine) -> list[tuple[Run, Evidence]]:
    """Each run beside its prediction; one asked for n times counts 1/n each."""
    times = Counter(_asked(run) for run in runs)
    return [
        (run, Evidence(run.tokens_per_s, _predictor(run, machine, engine), 1 / times[_asked(run)]))
        for run in runs
    ]


def _predictor(run: Run, machine: Machine, engine: Engine) -> Callable[[Factors], float]:
    """The run's expected speed by the factors; the planner is asked once for each."""

    @cache
    def predict(factors: Factors) -> float:
        return expected(run, machine, [with_factors(engine, factors)])

    return predict


def _asked(run: Run) -> tuple[object, ...]:
    """What makes two runs the same question."""
    return (run.shape.model.name, run.shape.format, run.shape.file, run.request, run.prompt)


def _prior_spread(runs: Sequence[Run], machine: Machine, engine: Engine) -> float:
    """The log standard deviation that the profile states of such runs."""
    rows = (prediction(run, machine, [engine]).decode_tokens_per_s for run in runs)
    widths = [log(row.expected / row.low) / _TO_LOW for row in rows if row]
    return fsum(sorted(widths)) / len(widths)


def engine_of(run: Run, engines: Sequence[Engine]) -> Engine:
    """Raises BadInput where fitcheck knows nothing of that engine on that device."""
    for engine in engines:
        if (engine.name, engine.device) == (run.engine, run.device):
            return engine
    raise BadInput(f"no profile of {run.engine} on a {run.device.upper()}", "see profiles/engines")


def checksum(engine: Engine, machine: Machine) -> int:
    """Of all that the factors multiply: a core whose speed was learned as the engine's would count twice."""
    return zlib.crc32(repr((engine, core_speed(engine, machine))).encode())


def _stale(kept: Kept, machine: Machine, engines: Sequence[Engine]) -> bool:
    known = {(row.engine, row.device): row.profile for row in kept.learned}
    return any(
        known[engine.name, engine.device] != checksum(engine, machine)
        for engine in engines
        if (engine.name, engine.device) in known
    )


def prediction(run: Run, machine: Machine, engines: Sequence[Engine]) -> FormatPlan:
    """What the planner says of the run, with the bandwidth and the core of its own minute where known."""
    request = replace(run.request, engine=run.engine, prompt=run.prompt or None)
    return predicted(run.shape, request, run.device, _minute(machine, run, engine_of(run, engines)), engines)


def expected(run: Run, machine: Machine, engines: Sequence[Engine]) -> float:
    """Tokens per second. Raises BadInput where nothing predicts such a run."""
    row = prediction(run, machine, engines)
    if run.kind == "decode":
        return row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0
    speed = prefill_speed(row, run.prompt, run.request.depth)
    if speed is None:
        raise BadInput(
            f"no prefill of {row.format} is predicted here", "calibrate on decode: llama-bench -p 0"
        )
    return speed


def _minute(machine: Machine, run: Run, engine: Engine) -> Machine:
    """The machine in the minute of the run. What it was ever seen to read stays its limit.

    The core's speed then counts only where plans know the core's speed, too:
    elsewhere it is for the factors to learn.
    """
    if run.core is not None and core_speed(engine, machine) is not None:
        machine = replace(machine, kernel_rates=(run.core,))
    if run.bandwidth_bytes_per_s is None:
        return machine
    reads = machine.read_bandwidth
    best = max([run.bandwidth_bytes_per_s, *(row.best_bytes_per_s or row.bytes_per_s for row in reads)])
    threads = run.request.threads or machine.threads or 1
    row = ReadBandwidth(threads, "4k", run.bandwidth_bytes_per_s, best)
    overrides = tuple(name for name in machine.overrides if name != "bandwidth")
    return replace(machine, read_bandwidth=(row,), overrides=overrides)


def question(run: Run, machine: Machine, engines: Sequence[Engine]) -> None:
    """Raises BadInput for a decode speed above what memory can deliver: nothing is to be learned from it."""
    speed = prediction(run, machine, engines).decode_tokens_per_s
    if run.kind == "prefill":
        expected(run, machine, engines)
    elif speed is not None and run.tokens_per_s > speed.limit:
        raise BadInput(_impossible(run, speed.limit, machine), _CHECK)


_CHECK = (
    "check model, format, and that no GPU or draft model helped; "
    "where the memory is faster than that, measure it: fitcheck probe --fresh"
)


def _impossible(run: Run, limit: float, machine: Machine) -> str:
    read = bytes_per_token(run.shape, run.request)
    return (
        f"{rate(run.tokens_per_s)} tokens/s is above the physical limit of {rate(limit)}: a token of "
        f"{run.shape.model.name} in {run.shape.format} reads {gb(read)}, "
        f"and {machine.name} delivers at most {gb_per_s(limit * read)}"
    )


def report(before: Kept, after: Kept, machine: Machine, engines: Sequence[Engine]) -> CalibrationReport:
    """The runs of either, and some models that nobody ran, by what was known before and is known after."""
    old, new = calibrated(engines, before.learned), calibrated(engines, after.learned)
    runs = {_asked(run): run for run in (*before.runs, *after.runs)}
    return CalibrationReport(
        machine=before.machine,
        learned=after.learned,
        runs=tuple(_compared(run, machine, old, new) for run in runs.values()),
        others=tuple(_others(before.learned + after.learned, machine, old, new)),
    )


def _compared(run: Run, machine: Machine, old: Sequence[Engine], new: Sequence[Engine]) -> Compared:
    request = run.request
    return Compared(
        model=run.shape.model.name,
        format=run.shape.format,
        kind=run.kind,
        engine=run.engine,
        depth=request.depth,
        threads=request.threads,
        before=expected(run, machine, old),
        after=expected(run, machine, new),
        measured=run.tokens_per_s,
        source=run.source,
    )


def _others(
    learned: Sequence[Learned], machine: Machine, old: Sequence[Engine], new: Sequence[Engine]
) -> Iterator[Compared]:
    """Models of the catalogue, those that fit the machine."""
    for engine, device in sorted({(row.engine, row.device) for row in learned}):
        for name, form in _EXAMPLES:
            shape = Shape(load_model(name), form)
            run = Run(shape, Request(engine=engine), engine, device, 1.0, "")
            try:
                if plan(shape.model, machine, Request(formats=(form,)), ()).plans[0].fits != "no":
                    yield replace(_compared(run, machine, old, new), measured=None, source=None)
            except BadInput:  # no speed of that format, or memory that nobody knows
                continue
