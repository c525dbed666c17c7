"""A prediction set beside a run of somebody else's engine, installed here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from fitcheck.bench.engine_run import Progress, Reads, Round, run_rounds
from fitcheck.bench.environment import environment
from fitcheck.bench.statistics import doubt, ratios
from fitcheck.errors import BadInput
from fitcheck.expectation import bytes_per_token, predicted, prefill_speed
from fitcheck.schema.calibration import Shape
from fitcheck.schema.engine import Engine
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


@dataclass(frozen=True, slots=True)
class EngineRun:
    """The program to run, on what, and how long it may take."""

    program: str
    file: Path
    prompt: int  # tokens of the prefill test; 0 for none
    limit_s: float
    buffer_bytes: int


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """An engine's run on a file, and what it is predicted from. ``request`` names engine and threads."""

    shape: Shape
    run: EngineRun
    machine: Machine
    engines: Sequence[Engine]
    request: Request

    def verify(self, progress: Progress) -> Verification:
        """Run llama-bench in rounds, each predicted from the plain reads around it.

        Raises BadInput where the engine fails, and NativeMissing where plain
        reads can't be timed.
        """
        command = self._command(_decoded_tokens(self._predict(self.machine)))
        reads = Reads(self._threads, self._engine.pages, self.run.buffer_bytes)
        turns = run_rounds(command, ROUNDS, reads, self.run.limit_s, progress)
        checks = [
            _Check(self._predict(self._reading(turn)), bench_rows(turn.output.text), turn) for turn in turns
        ]
        return self._verification(command, checks)

    @property
    def _engine(self) -> Engine:
        return next(e for e in self.engines if e.name == self.request.engine and e.device == "cpu")

    @property
    def _threads(self) -> int:
        return self.request.threads or self.machine.cores or self.machine.threads or 1

    def _predict(self, machine: Machine) -> FormatPlan:
        request = replace(self.request, threads=self._threads, prompt=self.run.prompt or None)
        return predicted(self.shape, request, "cpu", machine, self.engines)

    def _reading(self, turn: Round) -> Machine:
        """The machine with the bandwidth of one round, and no other."""
        row = ReadBandwidth(self._threads, self._engine.pages, turn.read_bytes_per_s)
        overrides = tuple(name for name in self.machine.overrides if name != "bandwidth")
        return replace(
            self.machine, read_bandwidth=(row,), peak_bandwidth_bytes_per_s=None, overrides=overrides
        )

    def _verification(self, command: Sequence[str], checks: Sequence["_Check"]) -> Verification:
        """Medians over the rounds; every round's error is against its own prediction."""
        decode, layers = checks[0].test("decoded"), len(self.shape.model.layers)
        read = bytes_per_token(self.shape, self.request)
        reads = [check.turn.read_bytes_per_s for check in checks]
        expected = [check.expected for check in checks]
        measured = [check.measured for check in checks]
        shares = ratios([read * speed for speed in measured], reads)
        why = doubt(shares, reads)
        return Verification(
            model=self.shape.model.name,
            format=self.shape.format,
            context=self.request.depth + decode.decoded,
            depth=self.request.depth,
            threads=self._threads,
            isa=isa_of(self.machine) or "unknown",
            layers_run=layers,
            layers_total=layers,
            predicted_tokens_per_s=median(expected),
            measured_tokens_per_s=median(measured),
            error=median(ratios(expected, measured)) - 1,
            resident_bytes=max(check.turn.output.resident_bytes for check in checks),
            read_bandwidth_bytes_per_s=median(reads),
            share_of_read_bandwidth=median(shares),
            bytes_per_token=read,
            basis="measured",
            raw=tuple(1 / speed for check in checks for speed in check.test("decoded").tokens_per_s),
            raw_read=tuple(reads),
            stable=why is None,
            unstable_why=why,
            energy_joules_per_token=None,
            energy_source="not measured with another program's run",
            environment=environment(self.machine, self._engine.pages),
            engine=self._engine.name,
            engine_build=decode.build,
            engine_flags=tuple(command[1:]),
            file=str(self.run.file),
            kv_type=self.request.kv_type,
            flash_attention=self.request.flash_attention,
            prefill=self._prefill(checks) if self.run.prompt else None,
        )

    def _prefill(self, checks: Sequence["_Check"]) -> PrefillCheck:
        raw = tuple(speed for check in checks for speed in check.test("prompt").tokens_per_s)
        tokens, measured = self.run.prompt, median(raw)
        guesses = [prefill_speed(check.plan, tokens, self.request.depth) for check in checks]
        known = [guess for guess in guesses if guess]
        guess = median(known) if known else None
        return PrefillCheck(tokens, measured, guess, guess / measured - 1 if guess else None, raw)

    def _command(self, decoded: int) -> list[str]:
        """llama-bench's own words for the request; every build of the last years knows these."""
        request = self.request
        flags: dict[str, object] = {
            "-m": self.run.file,
            "-p": self.run.prompt,
            "-n": decoded,
            "-d": request.depth,
            "-t": self._threads,
            "-ub": request.ubatch,
            "-r": _REPETITIONS,
            "-ngl": 0,
            "-o": "json",
        }
        if request.kv_type != "f16":
            flags |= {"-ctk": request.kv_type, "-ctv": request.kv_type}
        if request.flash_attention != "auto":
            flags["-fa"] = int(request.flash_attention == "on")
        return [self.run.program, *(str(part) for flag in flags.items() for part in flag)]


@dataclass(frozen=True, slots=True)
class _Check:
    """A round: what was predicted of it, and what the engine printed."""

    plan: FormatPlan
    tests: tuple[BenchRow, ...]
    turn: Round

    @property
    def expected(self) -> float:
        return _expected(self.plan)

    @property
    def measured(self) -> float:
        return median(self.test("decoded").tokens_per_s)

    def test(self, what: Literal["prompt", "decoded"]) -> BenchRow:
        """The test of prompt or of decoded tokens. Raises BadInput where it is missing."""
        for test in self.tests:
            if getattr(test, what):
                return test
        raise BadInput("llama-bench left out a test that was asked for", "try a newer llama.cpp")


def _decoded_tokens(row: FormatPlan) -> int:
    """So many that a repetition takes about a second."""
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, round(_expected(row) * _STEP_S)))


def _expected(row: FormatPlan) -> float:
    return row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0
