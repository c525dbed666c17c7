"""A prediction set beside a run of somebody else's engine, installed here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from fitcheck.bench.engine_run import Progress, Round, run_rounds
from fitcheck.errors import BadInput
from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.stored import stored_as, stored_in
from fitcheck.planner import plan
from fitcheck.schema.calibration import Shape
from fitcheck.schema.engine import Device, Engine
from fitcheck.schema.machine import Machine, ReadBandwidth
from fitcheck.schema.measurement import PrefillCheck, Verification
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.sources.llama_bench import BenchRow, bench_rows
from fitcheck.speed.engines import isa_of

ROUNDS = 3
_REPETITIONS = 2
_STEP_S = 1.0  # what one repetition should take
_LEAST_TOKENS, _MOST_TOKENS = 4, 128
_AMPLE = 1 << 50  # bytes: what ran has fitted


@dataclass(frozen=True, slots=True)
class EngineRun:
    """The program to run, on what, and how long it may take."""

    program: str
    file: Path
    prompt: int  # tokens of the prefill test; 0 for none
    limit_s: float
    buffer_bytes: int


def predicted(
    shape: Shape, request: Request, device: Device, machine: Machine, engines: Sequence[Engine]
) -> FormatPlan:
    """What the planner says of a run, whatever memory it takes: it did run.

    Raises BadInput where the planner knows no speed for it.
    """
    needed = request.depth + (request.prompt or 0) + 1
    context = min(max(needed, 512), shape.model.context_max or max(needed, 512))
    asked = replace(request, formats=(shape.format,), context=request.context or context, reserve_bytes=0)
    here = _with_ample_memory(machine, device)
    row = plan(shape.model, here, asked, engines, file=shape.file).plans[0]
    if row.decode_tokens_per_s is None:
        why = "; ".join(row.notes) or row.why
        said = f"no speed is known for {shape.format} of {shape.model.name}: {why}"
        raise BadInput(said, "choose another engine or format")
    return row


def verify_engine(
    shape: Shape,
    run: EngineRun,
    machine: Machine,
    engines: Sequence[Engine],
    request: Request,
    progress: Progress,
) -> Verification:
    """Run llama-bench in rounds, each predicted from the plain reads around it.

    Raises BadInput where the engine fails, and NativeMissing where plain reads
    can't be timed.
    """
    engine = next(e for e in engines if e.name == request.engine and e.device == "cpu")
    threads = request.threads or machine.cores or machine.threads or 1
    request = replace(request, threads=threads, prompt=run.prompt or None)
    first = predicted(shape, request, "cpu", machine, engines)
    command = _command(run, request, _decoded_tokens(first))
    rounds = run_rounds(command, ROUNDS, threads, engine.pages, run.buffer_bytes, run.limit_s, progress)
    seen = [bench_rows(turn.output.text) for turn in rounds]
    checks = [
        (predicted(shape, request, "cpu", _reading(machine, engine, threads, turn), engines), tests)
        for turn, tests in zip(rounds, seen, strict=True)
    ]
    return _verification(shape, run, machine, request, command, rounds, checks)


def _verification(
    shape: Shape,
    run: EngineRun,
    machine: Machine,
    request: Request,
    command: Sequence[str],
    rounds: Sequence[Round],
    checks: Sequence[tuple[FormatPlan, tuple[BenchRow, ...]]],
) -> Verification:
    """Medians over the rounds; every round's error is against its own prediction."""
    expected = [_expected(row) for row, _ in checks]
    measured = [median(_only(tests, "decoded").tokens_per_s) for _, tests in checks]
    decode = _only(checks[0][1], "decoded")
    read = median(turn.read_bytes_per_s for turn in rounds)
    bytes_per_token = _bytes_per_token(shape, request)
    return Verification(
        model=shape.model.name,
        format=shape.format,
        context=request.depth + decode.decoded,
        depth=request.depth,
        threads=request.threads or 1,
        isa=isa_of(machine) or "unknown",
        layers_run=len(shape.model.layers),
        layers_total=len(shape.model.layers),
        predicted_tokens_per_s=median(expected),
        measured_tokens_per_s=median(measured),
        error=median(e / m for e, m in zip(expected, measured, strict=True)) - 1,
        resident_bytes=max(turn.output.resident_bytes for turn in rounds),
        read_bandwidth_bytes_per_s=read,
        share_of_read_bandwidth=median(
            bytes_per_token * m / turn.read_bytes_per_s for m, turn in zip(measured, rounds, strict=True)
        ),
        bytes_per_token=bytes_per_token,
        basis="measured",
        raw=tuple(1 / speed for _, tests in checks for speed in _only(tests, "decoded").tokens_per_s),
        raw_read=tuple(turn.read_bytes_per_s for turn in rounds),
        engine=request.engine or "",
        engine_build=decode.build,
        engine_flags=tuple(command[1:]),
        file=str(run.file),
        kv_type=request.kv_type,
        flash_attention=request.flash_attention,
        prefill=_prefill(run, checks) if run.prompt else None,
    )


def _prefill(run: EngineRun, checks: Sequence[tuple[FormatPlan, tuple[BenchRow, ...]]]) -> PrefillCheck:
    raw = tuple(speed for _, tests in checks for speed in _only(tests, "prompt").tokens_per_s)
    expected = [run.prompt / row.ttft_s for row, _ in checks if row.ttft_s]
    guess = median(expected) if expected else None
    return PrefillCheck(run.prompt, median(raw), guess, guess / median(raw) - 1 if guess else None, raw)


def _command(run: EngineRun, request: Request, decoded: int) -> list[str]:
    """llama-bench's own words for the request; every build of the last years knows these."""
    flags = {
        "-m": run.file,
        "-p": run.prompt,
        "-n": decoded,
        "-d": request.depth,
        "-t": request.threads,
        "-ub": request.ubatch,
        "-r": _REPETITIONS,
        "-ngl": 0,
        "-o": "json",
    }
    if request.kv_type != "f16":
        flags |= {"-ctk": request.kv_type, "-ctv": request.kv_type}
    if request.flash_attention != "auto":
        flags["-fa"] = int(request.flash_attention == "on")
    return [run.program, *(str(part) for flag in flags.items() for part in flag)]


def _decoded_tokens(row: FormatPlan) -> int:
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, round(_expected(row) * _STEP_S)))


def _expected(row: FormatPlan) -> float:
    return row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0


def _only(tests: Sequence[BenchRow], what: str) -> BenchRow:
    """The test of ``prompt`` or of ``decoded`` tokens. Raises BadInput where it is missing."""
    for test in tests:
        if getattr(test, what):
            return test
    raise BadInput("llama-bench left out a test that was asked for", "try a newer llama.cpp")


def _bytes_per_token(shape: Shape, request: Request) -> int:
    stored = stored_in(shape.file) if shape.file else stored_as(shape.model, shape.format)
    read = sum(group.bytes for group in stored.groups)
    return read + kv_read_bytes(shape.model, request.depth, request.kv_type)


def _reading(machine: Machine, engine: Engine, threads: int, turn: Round) -> Machine:
    """The machine with the bandwidth of one round, and no other."""
    row = ReadBandwidth(threads, engine.pages, turn.read_bytes_per_s)
    overrides = tuple(name for name in machine.overrides if name != "bandwidth")
    return replace(machine, read_bandwidth=(row,), peak_bandwidth_bytes_per_s=None, overrides=overrides)


def _with_ample_memory(machine: Machine, device: Device) -> Machine:
    if device == "gpu" and machine.gpus and not machine.unified_memory:
        return replace(machine, ram_bytes=None)
    if device == "gpu":
        return machine
    return replace(
        machine, ram_bytes=_AMPLE, limit_bytes=None, available_bytes=None, gpus=(), unified_memory=False
    )
