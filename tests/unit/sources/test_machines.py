"""Every file of profiles/machines, and the names people give machines."""

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from fitcheck.errors import BadInput, FitcheckError, UnknownName
from fitcheck.sources import machines
from fitcheck.sources.machines import find_machine, load_machine
from fitcheck.sources.names import aliases, key
from fitcheck.sources.overrides import Overrides, imagine, parse_bus
from fitcheck.sources.profiles import profile_path, stems
from fitcheck.units import GIB

STEMS = stems("machines")
CAPACITY = r"\d+(\.\d+)?[GT]"
RATE = r"\d+(\.\d+)? GB/s"
MEMORY = r"(LP)?DDR\d[A-Z]*-\d{4,5}"
# The names that the probe gives features, so that an imagined machine and a real one compare.
FEATURES = {"avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"}
FEATURES |= {"avx512_vbmi", "amx_tile", "amx_int8", "neon", "dotprod", "i8mm", "sve"}


class GpuProfile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    vram: str | None = Field(default=None, pattern=CAPACITY)
    peak_bandwidth: str = Field(pattern=RATE)
    achieved: str | None = Field(default=None, pattern=RATE)
    lanes: PositiveInt | None = None
    clock_ghz: float | None = Field(default=None, gt=0.2, lt=4)


class MachineProfile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    source: str | list[str] = Field(min_length=1)
    arch: str | None = Field(default=None, pattern="x86_64|aarch64")
    cpu: str | None = None
    cores: PositiveInt | None = None
    threads: PositiveInt | None = None
    sockets: PositiveInt | None = None
    simd: list[str] = []
    vector_bits: int | None = Field(default=None, ge=64, le=2048)
    clock_ghz: float | None = Field(default=None, gt=0.5, lt=7)
    ram: str | None = Field(default=None, pattern=CAPACITY)
    ram_sizes: list[str] = []
    bus_bits: PositiveInt | None = None
    memory: list[str] = []
    peak_bandwidth: str | None = Field(default=None, pattern=RATE)
    unified_memory: bool = False
    notes: list[str] = []
    aliases: list[str] = []
    achieved: dict[str, str] = {}
    gpu: GpuProfile | None = None


def _table(stem: str) -> dict[str, Any]:
    return tomllib.loads(profile_path("machines", stem).read_text(encoding="utf-8"))


@pytest.mark.parametrize("stem", STEMS)
def test_profile_is_well_formed(stem: str) -> None:
    profile = MachineProfile.model_validate(_table(stem))
    assert set(profile.simd) <= FEATURES
    assert all(re.fullmatch(MEMORY, memory) for memory in profile.memory)
    assert bool(profile.memory) == bool(profile.bus_bits), "memory types need the bus they hang on"
    assert not (profile.memory and profile.peak_bandwidth), "one way to the peak"
    assert not profile.ram_sizes or profile.ram in profile.ram_sizes
    assert set(profile.achieved) <= (set(profile.memory) or {"all"})


@pytest.mark.parametrize("stem", STEMS)
def test_figures_are_possible(stem: str) -> None:
    machine = load_machine(stem)
    peak, achieved = machine.peak_bandwidth_bytes_per_s, machine.bandwidth_bytes_per_s
    assert machine.source
    assert machine.ram_bytes or machine.gpus
    assert peak or achieved or machine.gpus
    assert not (peak and achieved) or achieved <= peak
    assert machine.threads is None or machine.cores is None or machine.cores <= machine.threads
    for gpu in machine.gpus:
        assert gpu.bandwidth_bytes_per_s
        assert (gpu.achieved_bytes_per_s or 0) < gpu.bandwidth_bytes_per_s


@pytest.mark.parametrize("stem", STEMS)
def test_every_memory_type_reads_below_its_peak(stem: str) -> None:
    for memory in _table(stem).get("memory", []):
        machine = load_machine(stem, machines.Choice(memory=memory))
        assert (machine.bandwidth_bytes_per_s or 0) <= (machine.peak_bandwidth_bytes_per_s or 0)


def test_there_are_enough_of_every_kind() -> None:
    cards = [stem for stem in STEMS if "ram" not in _table(stem)]
    unified = [stem for stem in STEMS if load_machine(stem).unified_memory]
    assert len(STEMS) >= 100
    assert len(cards) >= 60
    assert len(unified) >= 20


def test_no_two_names_can_be_confused() -> None:
    owners: dict[tuple[str, ...], set[str]] = {}
    for stem, name in [(stem, stem) for stem in STEMS] + list(aliases("machines")):
        owners.setdefault(key(name), set()).add(stem)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("typed", "meant", "ram", "peak"),
    [
        ("ryzen-9-7950x", "ryzen-9-7950x", 32, 83.2e9),
        ("Ryzen 9 7950X DDR5-6000", "ryzen-9-7950x", 32, 96e9),
        ("ryzen-9-7950x-ddr5-6000-64gb", "ryzen-9-7950x", 64, 96e9),
        ("i9-13900K", "core-i9-13900k", 32, 89.6e9),
        ("M4 Max 128G", "apple-m4-max", 128, 546e9),
        ("apple m1", "apple-m1", 16, 68e9),
        ("pi 5", "raspberry-pi-5", 8, 17.068e9),
        ("strix halo", "ryzen-ai-max-plus-395", 128, 256e9),
        ("DGX Spark", "dgx-spark", 128, 273e9),
        ("epyc-9654", "epyc-9654", 384, 460.8e9),
    ],
)
def test_finds_machines(typed: str, meant: str, ram: int, peak: float) -> None:
    machine = find_machine(typed)
    assert (machine.name, machine.ram_bytes) == (meant, ram * GIB)
    assert machine.peak_bandwidth_bytes_per_s == pytest.approx(peak)


@pytest.mark.parametrize(
    ("typed", "vram", "peak"),
    [("rtx-3060", 12, 360e9), ("4090", 24, 1010e9), ("H100", 80, 3360e9), ("rtx-4090-24gb", 24, 1010e9)],
)
def test_finds_cards(typed: str, vram: int, peak: float) -> None:
    machine = find_machine(typed)
    assert machine.ram_bytes is None
    (card,) = machine.gpus
    assert (card.vram_bytes, card.bandwidth_bytes_per_s) == (vram * GIB, pytest.approx(peak))


def test_an_achieved_figure_belongs_to_its_memory() -> None:
    """78 GB/s read at DDR5-7000 says nothing of the same processor with DDR4."""
    fast, slow = find_machine("core-i9-13900k-ddr5-7000"), find_machine("core-i9-13900k-ddr4-3200")
    assert (fast.bandwidth_bytes_per_s, fast.bandwidth_basis) == (pytest.approx(90.29e9), "profile")
    assert (slow.bandwidth_bytes_per_s, slow.bandwidth_basis) == (None, "spec")


def test_what_was_assumed_is_said() -> None:
    found = find_machine("ryzen-9-7950x")
    assert [what for what, _ in found.assumed] == ["ram", "memory"]
    assert "32G of memory assumed" in found.assumed[0][1]
    assert find_machine("ryzen-9-7950x-ddr5-6000-64gb").assumed == ()


def test_what_is_given_is_no_longer_assumed():
    found = imagine(find_machine("ryzen-9-7950x"), Overrides(ram_bytes=64 * GIB))
    assert [what for what, _ in found.assumed] == ["memory"]
    settled = imagine(found, Overrides(bus=parse_bus("2x6000")))
    assert settled.assumed == ()


@pytest.mark.parametrize(
    ("typed", "message"),
    [("ryzen-9-7950x-ddr4-3200", "has no memory DDR4-3200"), ("apple-m1-64gb", "has no ram 64G")],
)
def test_memory_it_was_never_made_with(typed: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        find_machine(typed)


@pytest.mark.parametrize("typed", ["rtx-5060-ti", "ryzen-9", "teapot"])
def test_unknown_names_get_the_three_nearest(typed: str) -> None:
    with pytest.raises(UnknownName, match="no machine is called") as caught:
        find_machine(typed)
    assert len(caught.value.remedy.split("did you mean ")[1].split("?")[0].split(", ")) == 3


@given(st.text(max_size=60))
def test_any_text_is_a_machine_or_a_typed_error(text: str) -> None:
    try:
        assert find_machine(text).source
    except FitcheckError as error:
        assert error.remedy


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"source": "s", "ram": "much"},
        {"source": "s", "gpu": {"name": "n"}},
        {"source": "s", "memory": ["DDR"], "bus_bits": 128},
        {"source": "s", "memory": ["DDR5-6000"]},
    ],
)
def test_faulty_profiles_are_one_clear_error(wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "read_toml", lambda path: dict(wrong))
    with pytest.raises(BadInput):
        load_machine("m")
