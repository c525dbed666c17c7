"""A fixed world: a machine nobody probed, and for pictures a planner whose figures never change."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual import _wait

from fitcheck.errors import BadInput, UnknownName
from fitcheck.ranking import Refused
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, Machine, MemoryModules, ReadBandwidth
from fitcheck.schema.model import Attention, FeedForward, Layer, Model
from fitcheck.schema.plan import (
    RAM,
    Card,
    CurvePoint,
    DeviceUse,
    FormatPlan,
    MachineSummary,
    MemoryItem,
    ModelSummary,
    Placement,
    Plan,
    TokenRate,
)
from fitcheck.schema.ranking import RankedModel
from fitcheck.schema.request import Request
from fitcheck.schema.requirement import Candidate, Needs, Requirement
from fitcheck.sources.resolve import Resolution
from fitcheck.tui.app import FitcheckApp
from fitcheck.tui.choices import Choices
from fitcheck.tui.jobs import Job, Outcome
from fitcheck.tui.world import World
from fitcheck.units import GIB

DESKTOP = Machine(
    name="Testbench 8",
    source="made for the tests",
    ram_bytes=16 * GIB,
    arch="x86_64",
    cpu="Testbench 8",
    cores=8,
    threads=16,
    simd=("avx2", "fma", "f16c"),
    peak_bandwidth_bytes_per_s=89.6e9,
    bandwidth_bytes_per_s=64e9,
    bandwidth_basis="measured",
    read_bandwidth=(ReadBandwidth(16, "huge", 64e9), ReadBandwidth(16, "4k", 56e9)),
    memory=MemoryModules("DDR5", 2, 2, 128, 5.6e9),
)
SERVER = replace(
    DESKTOP, name="server-12", ram_bytes=384 * GIB, cores=64, threads=128, bandwidth_bytes_per_s=400e9
)
CARD = Machine("card-24", "made for the tests", None, gpus=(Gpu("Card 24", 24 * GIB, 1e12),))
BARE = Machine("bare-board", "made for the tests", None, threads=4)


@pytest.fixture(autouse=True, scope="session")
def _short_waits() -> Iterator[None]:
    """Textual's pilot sleeps twice a key until the app has been idle for 20 ms: 10 do."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_wait, "SLEEP_GRANULARITY", 1 / 100)
        patched.setattr(_wait, "SLEEP_IDLE", 1 / 2000)
        yield


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or leaves anything in the user's own directories."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)


def quick_job(title: str = "quick") -> Job:
    def run(tell: Callable[[float], None]) -> Outcome:
        tell(1.0)
        return Outcome((("measured", "5.5 tokens/s"),))

    return Job(title, "ends at once", run)


# ---- the catalogue and the planner as they are, on a machine that stays the same ----


@pytest.fixture
def world(tmp_path: Path) -> World:
    from fitcheck.tui.world import real_world

    return replace(
        real_world(),
        probe=lambda: DESKTOP,
        config_directory=tmp_path / "config",
        jobs=lambda *_: (quick_job(),),
    )


@pytest.fixture
def open_app(world: World) -> Callable[..., FitcheckApp]:
    def opened(choices: Choices | None = None) -> FitcheckApp:
        return FitcheckApp(world, choices)

    return opened


# ---- a world of paper, for pictures: they change when the screens do, not with every figure ----

BITS = {"F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.56, "Q5_K_M": 5.7, "Q4_K_M": 4.89, "Q3_K_M": 4.0, "Q2_K": 3.16}
TERNARY = {"TQ2_0": 2.06, "TQ1_0": 1.69}
PAPER_MODELS = {"small-3b": 3_000_000_000, "middle-8b": 8_000_000_000, "large-70b": 70_000_000_000}


def paper_model(name: str) -> Resolution:
    if name not in PAPER_MODELS:
        raise UnknownName(f"no model is called {name!r}", "did you mean middle-8b?")
    layer = Layer(Attention(32, 8, 128), (FeedForward(14336),))
    return Resolution(
        Model(name, "paper", "llama", 4096, 128256, (layer,), False, 131072, PAPER_MODELS[name])
    )


def paper_machine(name: str) -> Machine:
    for machine in (SERVER, CARD, BARE):
        if machine.name == name:
            return machine
    raise UnknownName(f"no machine is called {name!r}", "did you mean server-12?")


def paper_plan(
    model: Model,
    machine: Machine,
    request: Request,
    engines: Sequence[Engine],
    *,
    asked: str | None = None,
    file: object = None,
) -> Plan:
    """As simple as it gets: bytes from bits, speed from bandwidth over bytes."""
    memory = machine.ram_bytes or sum(gpu.vram_bytes for gpu in machine.gpus)
    if not memory:
        raise BadInput(f"the memory of {machine.name} is unknown", "say how much it has")
    request = replace(request, context=request.context or 4096)
    usable = memory - 2 * GIB
    wanted = request.formats or (*BITS, *TERNARY)
    rows = tuple(_paper_row(model, machine, request, usable, name) for name in wanted)
    if machine.gpus and machine.ram_bytes:
        rows = tuple(paper_placed(row, machine) for row in rows)
    best = next((row for row in rows[1:] if row.fits == "yes"), None)
    verdict = f"{model.name} fits: take {best.format}." if best else f"{model.name} does not fit."
    size = model.parameters or 0
    summary = ModelSummary(model.name, "paper", "llama", size, size, 32, 4096, 128256, 131072, False)
    told = MachineSummary(
        machine.name, "paper", machine.ram_bytes, usable, 2 * GIB, None,
        machine.bandwidth_bytes_per_s or 50e9, machine.bandwidth_basis,
        machine.threads, machine.simd, machine.gpus, machine.overrides, machine.notes,
        tuple(Card(gpu.name, gpu.vram_bytes, gpu.vram_bytes - GIB) for gpu in machine.gpus),
    )  # fmt: skip
    return Plan(summary, told, request, rows, best.format if best else None, verdict)


def _paper_row(model: Model, machine: Machine, request: Request, usable: int, name: str) -> FormatPlan:
    bits = {**BITS, **TERNARY}[name]
    weights = int((model.parameters or 0) * bits / 8)
    cache = 131072 * (request.context or 0)
    total = weights + cache + GIB // 2
    spare = usable - total
    longest = max(0, min(131072, (usable - weights - GIB // 2) // 131072 // 256 * 256))
    expected = (machine.bandwidth_bytes_per_s or 50e9) / (weights + 131072 * request.depth)
    speed = TokenRate(expected * 0.8, expected, expected * 1.1, expected * 1.3)
    curve = tuple(CurvePoint(d, speed.low, speed.expected, speed.high) for d in (0, 2048, 4096))
    return FormatPlan(
        name, "llama.cpp", bits, weights, cache, GIB // 4, GIB // 4, total,
        "no" if spare < 0 else "tight" if spare < GIB else "yes", spare, longest,
        f"{spare / GIB:.1f} GiB to spare" if spare >= 0 else f"{-spare / GIB:.1f} GiB short",
        name in TERNARY, speed if spare >= 0 else None, "memory" if spare >= 0 else None, "measured", curve,
        quality_note="only for models trained ternary" if name in TERNARY else None,
        placement=Placement(0, 33, 0, (DeviceUse(RAM, "ram", total + spare, total),), ()),
    )  # fmt: skip


def paper_placed(row: FormatPlan, machine: Machine) -> FormatPlan:
    """The row with as many of its 33 layers as the first card has room for, ten times as fast there."""
    card, layers = machine.gpus[0], 33
    on_gpu = min(layers, (card.vram_bytes - GIB) * layers // row.total_bytes)
    fits = row.total_bytes * (layers - on_gpu) // layers <= (machine.ram_bytes or 0) - 2 * GIB

    def share(size: int, device: str) -> int:
        on_card = size * on_gpu // layers
        return on_card if device == card.name else size - on_card

    sizes = {"weights": row.weights_bytes, "kv cache": row.kv_bytes, "compute buffer": row.compute_bytes}
    memory = tuple(
        MemoryItem(what, device, share(size, device), "anonymous", True)  # type: ignore[arg-type]
        for device in (RAM, card.name)
        for what, size in sizes.items()
    )
    need = {name: sum(item.bytes for item in memory if item.device == name) for name in (RAM, card.name)}
    devices = (
        DeviceUse(RAM, "ram", (machine.ram_bytes or 0) - 2 * GIB, need[RAM]),
        DeviceUse(card.name, "gpu", card.vram_bytes - GIB, need[card.name]),
    )
    seconds = row.weights_bytes / 64e9 * (1 - 0.9 * on_gpu / layers)
    speed = TokenRate(0.8 / seconds, 1 / seconds, 1.1 / seconds, 1.3 / seconds) if fits else None
    flags = (f"-ngl {on_gpu}", "-c 4096")
    return replace(
        row, fits="yes" if fits else "no", decode_tokens_per_s=speed, memory=memory,
        placement=Placement(on_gpu, layers, 0, devices, flags), max_context=32768,
        prefill_tokens_per_s=850.0, ttft_s=4.82, decode_bound="memory" if fits else None,
        why=f"{on_gpu} of {layers} layers on the GPU",
    )  # fmt: skip


def paper_needs(
    model: Model, request: Request, wish: float, engines: Sequence[Engine], machines: Iterable[Machine]
) -> Needs:
    rows = tuple(
        Requirement(
            name, "llama.cpp", int(8e9 * bits / 8), int(10e9 * bits / 8), 1e9 * bits * wish, 8e9 * wish, False
        )
        for name, bits in BITS.items()
    )
    found = []
    for machine in machines:
        if machine.ram_bytes:
            found.append(Candidate(machine.name, paper_plan(model, machine, request, engines).plans[1]))
    return Needs(model.name, request.context or 4096, 0, wish, rows, tuple(found))


def paper_take(
    models: Iterable[Model], machine: Machine, request: Request, engines: Sequence[Engine]
) -> Iterator[RankedModel | Refused]:
    for model in models:
        try:
            answer = paper_plan(model, machine, request, engines)
        except BadInput as error:
            yield Refused(model.name, error)
            continue
        named = (row for row in answer.plans if row.format == answer.best)
        yield RankedModel(answer.model, next(named, answer.plans[-1]))


@pytest.fixture
def paper_world(tmp_path: Path) -> World:
    return World(
        probe=lambda: DESKTOP,
        engines=(),
        resolve=paper_model,
        find_machine=paper_machine,
        model_names=tuple(PAPER_MODELS),
        machine_names=("bare-board", "card-24", "server-12"),
        aliases=lambda: (("large-70b", "70b"),),
        cards=lambda: {"card-24": 24 * GIB},
        jobs=lambda *_: (quick_job("probe"), quick_job("verify")),
        planner=paper_plan,
        taker=paper_take,
        needs=paper_needs,
        config_directory=tmp_path / "config",
    )
