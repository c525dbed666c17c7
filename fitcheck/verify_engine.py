"""A prediction set beside a run of somebody else's engine, installed here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from fitcheck.bench.clock import Deadline
from fitcheck.bench.core import CoreClock, clock_of
from fitcheck.bench.engine_run import Beside, Progress, Round, run_rounds
from fitcheck.bench.environment import environment
from fitcheck.bench.statistics import doubt, moved, ratios, spread
from fitcheck.bench.threads import threads_for
from fitcheck.expectation import bytes_per_token, predicted, prefill_speed
from fitcheck.runners.task import Runner, Session, Task, Timed
from fitcheck.schema.calibration import Shape
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import KernelRate, Machine, ReadBandwidth
from fitcheck.schema.measurement import CoreTiming, PrefillCheck, Verification
from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.speed.engines import isa_of

ROUNDS = 3
_STEP_S = 1.0  # what one repetition should take
_LEAST_TOKENS, _MOST_TOKENS = 4, 128


@dataclass(frozen=True, slots=True)
class EngineRun:
    """What runs, on which file, and how long it may take."""

    runner: Runner
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
        """Run the engine in rounds, each predicted from the plain reads and the core's speed around it.

        Raises BadInput where the engine fails, and NativeMissing where plain
        reads can't be timed.
        """
        deadline = Deadline.after(self.run.limit_s)
        with (
            self.run.runner.session(self._task(), deadline) as session,
            clock_of(self._engine.reference, self._threads) as clock,
        ):
            beside = Beside(self._threads, self._engine.pages, self.run.buffer_bytes, clock)
            turns = run_rounds(session.turn, ROUNDS, beside, deadline, progress)
            built = _built_for(self.machine, session)
            checks = [_Check(self._predict(self._minute(built, turn, clock)), turn) for turn in turns]
            return self._verification(session, built, checks, clock)

    @property
    def _engine(self) -> Engine:
        return next(e for e in self.engines if e.name == self.request.engine and e.device == "cpu")

    @property
    def _threads(self) -> int:
        asked, machine = self.request.threads, self.machine
        return threads_for(machine, asked) if asked else machine.cores or machine.threads or 1

    def _predict(self, machine: Machine) -> FormatPlan:
        request = replace(self.request, threads=self._threads, prompt=self.run.prompt or None)
        return predicted(self.shape, request, "cpu", machine, self.engines)

    def _minute(self, machine: Machine, turn: Round[Timed], clock: CoreClock | None) -> Machine:
        """The machine with the bandwidth of one round and no other, and with its core's speed then."""
        row = ReadBandwidth(self._threads, self._engine.pages, turn.read_bytes_per_s)
        overrides = tuple(name for name in machine.overrides if name != "bandwidth")
        here = replace(machine, read_bandwidth=(row,), peak_bandwidth_bytes_per_s=None, overrides=overrides)
        if clock is None or turn.core_weights_per_s is None:
            return here
        by = clock.yardstick
        return replace(here, kernel_rates=(KernelRate(by.type, by.isa, turn.core_weights_per_s, "measured"),))

    def _verification(
        self, session: Session, machine: Machine, checks: Sequence["_Check"], clock: CoreClock | None
    ) -> Verification:
        """Medians over the rounds; every round's error is against its own prediction."""
        task, layers = self._task(), len(self.shape.model.layers)
        read = bytes_per_token(self.shape, self.request)
        reads = [check.turn.read_bytes_per_s for check in checks]
        expected = [check.expected for check in checks]
        measured = [check.measured for check in checks]
        shares = ratios([read * speed for speed in measured], reads)
        core = _core(checks, clock) if clock else None
        why = doubt(shares, reads) or (moved("the core's speed", core.raw) if core else None)
        return Verification(
            model=self.shape.model.name,
            format=self.shape.format,
            context=self.request.depth + task.decoded,
            depth=self.request.depth,
            threads=self._threads,
            isa=isa_of(machine) or "unknown",
            layers_run=layers,
            layers_total=layers,
            predicted_tokens_per_s=median(expected),
            measured_tokens_per_s=median(measured),
            error=median(ratios(expected, measured)) - 1,
            resident_bytes=max(check.turn.answer.resident_bytes for check in checks),
            read_bandwidth_bytes_per_s=median(reads),
            share_of_read_bandwidth=median(shares),
            bytes_per_token=read,
            basis="measured",
            raw=tuple(1 / speed for check in checks for speed in check.turn.answer.decode),
            raw_read=tuple(reads),
            stable=why is None,
            unstable_why=why,
            energy_joules_per_token=None,
            energy_source="not measured with another program's run",
            environment=environment(machine, self._engine.pages),
            engine=self._engine.name,
            engine_build=checks[0].turn.answer.build,
            engine_flags=session.flags,
            runner=self.run.runner.name,
            file=str(self.run.file),
            kv_type=self.request.kv_type,
            flash_attention=self.request.flash_attention,
            prefill=self._prefill(checks) if self.run.prompt else None,
            core=core,
            notes=() if core else (_UNTIMED.format(engine=self._engine.name),),
        )

    def _prefill(self, checks: Sequence["_Check"]) -> PrefillCheck:
        raw = tuple(speed for check in checks for speed in check.turn.answer.prefill)
        tokens, measured = self.run.prompt, median(raw)
        guesses = [prefill_speed(check.plan, tokens, self.request.depth) for check in checks]
        known = [guess for guess in guesses if guess]
        guess = median(known) if known else None
        return PrefillCheck(tokens, measured, guess, guess / measured - 1 if guess else None, raw)

    def _task(self) -> Task:
        request = self.request
        return Task(
            file=self.run.file,
            prompt=self.run.prompt,
            decoded=_decoded_tokens(self._predict(self.machine)),
            depth=request.depth,
            threads=self._threads,
            ubatch=request.ubatch,
            kv_type=request.kv_type,
            flash_attention=request.flash_attention,
            vocab_size=self.shape.model.vocab_size,
        )


@dataclass(frozen=True, slots=True)
class _Check:
    """A round: what was predicted of it, and what the engine answered."""

    plan: FormatPlan
    turn: Round[Timed]

    @property
    def expected(self) -> float:
        return _expected(self.plan)

    @property
    def measured(self) -> float:
        return median(self.turn.answer.decode)


_UNTIMED = (
    "the core was not timed: of the kernels that this machine runs, none was timed on the core that "
    "{engine}'s rates come from; it is taken as fitcheck bench saw it, else as such cores usually are"
)


def _core(checks: Sequence["_Check"], clock: CoreClock) -> CoreTiming:
    raw = tuple(rate for check in checks if (rate := check.turn.core_weights_per_s))
    by, middle = clock.yardstick, median(raw)
    return CoreTiming(by.type, by.isa, clock.threads, middle, middle / by.weights_per_s, spread(raw), raw)


def _built_for(machine: Machine, session: Session) -> Machine:
    """The machine without the instructions that the engine was not built for."""
    if session.features is None:
        return machine
    return replace(machine, simd=tuple(name for name in machine.simd if name in session.features))


def _decoded_tokens(row: FormatPlan) -> int:
    """So many that a repetition takes about a second."""
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, round(_expected(row) * _STEP_S)))


def _expected(row: FormatPlan) -> float:
    return row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0
