"""The doors to the world that the app uses, in one value: tests put others in their place."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fitcheck import planner, requirements
from fitcheck.errors import BadInput, FitcheckError
from fitcheck.ranking import Refused, take_on
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.schema.ranking import RankedModel
from fitcheck.schema.request import Request
from fitcheck.schema.requirement import Needs
from fitcheck.schema.weights import FileWeights
from fitcheck.sources.resolve import Resolution
from fitcheck.tui.choices import Choices
from fitcheck.tui.config import config_directory

if TYPE_CHECKING:
    from fitcheck.tui.jobs import Job


class Planner(Protocol):
    """``planner.plan``, as its callers know it."""

    def __call__(
        self,
        model: Model,
        machine: Machine,
        request: Request,
        engines: Sequence[Engine],
        *,
        asked: str | None = None,
        file: FileWeights | None = None,
    ) -> Plan: ...


Taker = Callable[[Iterable[Model], Machine, Request, Sequence[Engine]], Iterator[RankedModel | Refused]]
Needer = Callable[[Model, Request, float, Sequence[Engine], Iterable[Machine]], Needs]


@dataclass(frozen=True, slots=True)
class Question:
    """All that the planner is told, found and spelled out."""

    model: Model
    machine: Machine
    request: Request
    engines: Sequence[Engine]
    asked: str | None
    planner: Planner
    file: FileWeights | None = None  # a real file's weights, where one was named

    @property
    def elsewhere(self) -> Request:
        """What to ask of another model or machine: layers are counted for this one."""
        return replace(self.request, gpu_layers=None, cpu_moe_layers=None)

    @property
    def slow(self) -> bool:
        """Whether layers must be spread over cards and RAM: that takes tens of milliseconds."""
        return bool(self.machine.gpus and self.machine.ram_bytes and not self.machine.unified_memory)

    def answer(self) -> Plan | FitcheckError:
        """The plan, or why there is none."""
        try:
            return self.plan()
        except FitcheckError as error:
            return error

    def plan(self) -> Plan:
        return self.planner(
            self.model, self.machine, self.request, self.engines, asked=self.asked, file=self.file
        )


@dataclass(frozen=True, slots=True)
class World:
    """Where models, machines and engines come from, and where the session is kept."""

    probe: Callable[[], Machine]
    engines: Sequence[Engine]
    resolve: Callable[[str], Resolution]
    find_machine: Callable[[str], Machine]
    model_names: Sequence[str]
    machine_names: Sequence[str]
    aliases: Callable[[], Sequence[tuple[str, str]]]  # a model's name with one of its other names
    cards: Callable[[], Mapping[str, int]]  # each graphics card of the catalogue with its memory
    jobs: "Callable[[Question, FormatPlan, Machine], Sequence[Job]]"  # what can be measured here
    calibrated: Callable[[Machine], Sequence[Engine]] | None = None  # as runs on that machine moved them
    planner: Planner = planner.plan
    taker: Taker = take_on
    needs: Needer = requirements.needs
    config_directory: Path = field(default_factory=config_directory)


def real_world() -> World:
    """The shipped catalogue, and the machine this is."""
    from fitcheck.calibrate import engines_here  # noqa: PLC0415
    from fitcheck.probe import probe_machine  # noqa: PLC0415 (a test's world needs no probe)
    from fitcheck.sources import names  # noqa: PLC0415
    from fitcheck.sources.engines import load_engines  # noqa: PLC0415
    from fitcheck.sources.machines import card_sizes, find_machine  # noqa: PLC0415
    from fitcheck.sources.profiles import stems  # noqa: PLC0415
    from fitcheck.sources.resolve import resolve, sizes  # noqa: PLC0415
    from fitcheck.tui.jobs import real_jobs  # noqa: PLC0415

    return World(
        probe=probe_machine,
        engines=load_engines(),
        calibrated=lambda machine: engines_here(machine, load_engines())[0],
        resolve=resolve,
        find_machine=find_machine,
        model_names=stems("models"),
        machine_names=stems("machines"),
        aliases=lambda: (*((e["model"], size) for size, e in sizes().items()), *names.aliases("models")),
        cards=card_sizes,
        jobs=real_jobs,
    )


class Finder:
    """Choices -> Question. What was found is kept: a key press must not read files."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.here = world.probe()
        self._models: dict[str, Resolution] = {}
        self._machines: dict[str, Machine] = {}
        self._engines: dict[str | None, Sequence[Engine]] = {}

    def question(self, choices: Choices) -> Question:
        """What to ask the planner. Raises UnknownName or BadInput where a name leads nowhere."""
        from fitcheck.sources.overrides import imagine  # noqa: PLC0415

        found = self.resolution(choices.model)
        machine = imagine(self.base(choices.machine), choices.overrides(self.card))
        engines = self._engines_on(choices.machine)
        engine = planner.find_engine(engines, choices.engine) if choices.engine else None
        return Question(
            found.model,
            machine,
            replace(choices.request, engine=engine, formats=found.formats),
            engines,
            found.resolved_from,
            self.world.planner,
            found.file,
        )

    def _engines_on(self, name: str | None) -> Sequence[Engine]:
        """Looked up once a machine: a key press must not read files."""
        if self.world.calibrated is None:
            return self.world.engines
        if name not in self._engines:
            self._engines[name] = self.world.calibrated(self.base(name))
        return self._engines[name]

    def base(self, name: str | None) -> Machine:
        """The machine before anybody changed it."""
        if name is None:
            return self.here
        if name not in self._machines:
            self._machines[name] = self.world.find_machine(name)
        return self._machines[name]

    @cached_property
    def cards(self) -> Mapping[str, int]:
        """The graphics cards of the catalogue, each with its memory."""
        return self.world.cards()

    def card(self, name: str) -> Gpu:
        """A graphics card of the catalogue."""
        machine = self.base(name)
        if machine.ram_bytes is not None or not machine.gpus:
            raise BadInput(f"{name} is no graphics card", "name one of: fitcheck machines")
        return machine.gpus[0]

    def resolution(self, text: str) -> Resolution:
        if text not in self._models:
            self._models[text] = self.world.resolve(text)
        return self._models[text]
