"""GPUs, modules, hybrid processors, disks and Macs, each from what such a machine prints."""

import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcheck.bench import native
from fitcheck.probe import darwin, gpu
from fitcheck.probe.cpu import read_processor
from fitcheck.probe.fallback import fill
from fitcheck.probe.files import Files
from fitcheck.probe.gpu import nvidia_fingerprint, parse_smi, query_nvidia, read_drm
from fitcheck.probe.modules import read_modules
from fitcheck.probe.simd import from_flags
from fitcheck.probe.storage import read_storage
from fitcheck.probe.topology import caches
from fitcheck.schema.machine import Cache, Gpu, Machine, MemoryModules, Storage
from fitcheck.units import GIB, KIB, MIB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def write(root: Path, files: dict[str, object]) -> Files:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")
    return Files(str(root))


# ---- NVIDIA ----


def test_no_driver_costs_nothing(root: Path) -> None:
    assert nvidia_fingerprint(Files(str(root))) is None


def test_fingerprint_changes_with_the_card(root: Path) -> None:
    information = "proc/driver/nvidia/gpus/0000:01:00.0/information"
    first = nvidia_fingerprint(write(root, {information: "Model: \t NVIDIA GeForce RTX 3090"}))
    second = nvidia_fingerprint(write(root, {information: "Model: \t NVIDIA GeForce RTX 4090"}))
    assert first and second and first != second
    assert nvidia_fingerprint(write(root / "wsl", {"dev/dxg": ""})) == "wsl"


def test_smi_rows() -> None:
    found = parse_smi("NVIDIA H100 80GB HBM3, 81559\nTesla, the second, 16384\n")
    assert found is not None
    assert [(card.name, card.vram_bytes) for card in found.gpus] == [
        ("NVIDIA H100 80GB HBM3", 81559 * MIB),
        ("Tesla, the second", 16384 * MIB),
    ]
    unified = parse_smi("NVIDIA GB10, [N/A]\n")
    assert unified is not None and unified.unified and not unified.gpus and "works in RAM" in unified.notes[0]
    assert parse_smi("") is None
    assert parse_smi("NVIDIA-SMI has failed because it couldn't communicate") is None


def fake_nvml(memory: int | None) -> Any:
    class NVMLError(Exception):
        pass

    def info(handle: Any) -> Any:
        if memory is None:
            raise NVMLError
        return types.SimpleNamespace(total=memory)

    return types.SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"NVIDIA GeForce RTX 3090",
        nvmlDeviceGetMemoryInfo=info,
        nvmlDeviceGetMaxClockInfo=lambda handle, clock: 9751,
        nvmlDeviceGetMemoryBusWidth=lambda handle: 384,
    )


def test_nvml_tells_memory_and_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(24 * GIB))
    (card,) = query_nvidia().gpus
    assert (card.name, card.vram_bytes) == ("NVIDIA GeForce RTX 3090", 24 * GIB)
    assert card.bandwidth_bytes_per_s == pytest.approx(936e9, rel=1e-3), "as the data sheet says"


def test_nvml_without_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(None))
    assert query_nvidia().unified


def test_a_driver_that_answers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpu, "_ask_smi", lambda: None)
    assert query_nvidia().notes == ("an NVIDIA driver is loaded but names no GPU",)


# ---- AMD, Intel ----


def test_cards_without_names_or_memory(root: Path) -> None:
    files = write(
        root,
        {
            "sys/class/drm/card0/device/vendor": "0x8086",
            "sys/class/drm/card1/device/vendor": "0x1002",
            "sys/class/drm/card1/device/mem_info_vram_total": 17163091968,
            "sys/class/drm/card2/device/vendor": "0x1002",
            "sys/class/drm/version": "drm 1.1.0",
        },
    )
    found = read_drm(files)
    assert found.gpus == (Gpu("AMD GPU", 17163091968, None, "amdgpu: mem_info_vram_total"),)
    assert len(found.notes) == 1 and "Intel" in found.notes[0]


# ---- memory modules ----


def udev(devices: list[dict[str, object]]) -> str:
    return "\n".join(
        f"E:MEMORY_DEVICE_{index}_{key}={value}"
        for index, device in enumerate(devices)
        for key, value in device.items()
    )


def module(bank: str, slot: str, **other: object) -> dict[str, object]:
    rest = {
        "SIZE": 17179869184,
        "FORM_FACTOR": "DIMM",
        "TYPE": "DDR5",
        "CONFIGURED_SPEED_MTS": 6000,
        "DATA_WIDTH": 64,
    }
    return {"BANK_LOCATOR": bank, "LOCATOR": slot, **rest, **other}


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        # Ryzen 7950X, two of four slots filled: github.com/cyring/CoreFreq/issues/378
        (
            [
                {"BANK_LOCATOR": "P0 CHANNEL A", "LOCATOR": "DIMM 0", "TYPE": "Unknown"},
                module("P0 CHANNEL A", "DIMM 1"),
                module("P0 CHANNEL B", "DIMM 1"),
            ],
            MemoryModules("DDR5", 2, 2, 128, 6e9),
        ),
        # Four modules in two channels; a firmware that counts half a module's width
        (
            [module(f"P0 CHANNEL {name}", f"DIMM {slot}", DATA_WIDTH=32) for name in "AB" for slot in (0, 1)],
            MemoryModules("DDR5", 4, 2, 128, 6e9),
        ),
        # Intel boards: github.com/systemd/systemd/pull/17837, github.com/ckb-next/ckb-next/issues/1220
        (
            [module("BANK 0", "ChannelA-DIMM0"), module("BANK 2", "ChannelB-DIMM0")],
            MemoryModules("DDR5", 2, 2, 128, 6e9),
        ),
        ([module("BANK 0", "Controller0-DIMMA2")], MemoryModules("DDR5", 1, 1, 64, 6e9)),
        # Strix Halo, soldered, eight channels of 32 bits: github.com/cyring/CoreFreq/issues/561
        (
            [
                module(f"P0 CHANNEL {name}", "DIMM 0", TYPE="LPDDR5", FORM_FACTOR="Other", DATA_WIDTH=32,
                       CONFIGURED_SPEED_MTS=8000)
                for name in "ABCDEFGH"
            ],
            MemoryModules("LPDDR5", 8, 8, 256, 8e9),
        ),
        # systemd before 255 doesn't know DDR5: github.com/systemd/systemd/issues/30699
        ([module("P0 CHANNEL A", "DIMM 0", TYPE="<OUT OF SPEC>")], MemoryModules(None, 1, 1, 64, 6e9)),
        # Unknown is not a guess: no channel in the name, two rates, no rate, nothing at all
        ([module("BANK 0", "Top - in slot")], None),
        ([module("P0 CHANNEL A", "x"), module("P0 CHANNEL B", "x", CONFIGURED_SPEED_MTS=4800)], None),
        ([module("P0 CHANNEL A", "x", CONFIGURED_SPEED_MTS="")], None),
        ([], None),
    ],
)  # fmt: skip
def test_modules(root: Path, devices: list[dict[str, object]], expected: MemoryModules | None) -> None:
    assert read_modules(write(root, {"run/udev/data/+dmi:id": udev(devices)})) == expected


# ---- caches of unlike cores ----


def cpu_with(cpu: int, levels: list[tuple[int, str, str]]) -> dict[str, object]:
    """A CPU's cache files from (level, size, sharers), data caches at level 1."""
    base = f"sys/devices/system/cpu/cpu{cpu}/cache/index"
    return {
        f"{base}{index}/{key}": value
        for index, (level, size, shared) in enumerate(levels)
        for key, value in {
            "level": level, "size": size, "shared_cpu_list": shared,
            "type": "Data" if level == 1 else "Unified",
        }.items()
    }  # fmt: skip


def test_two_kinds_of_cores_share_the_last_level_once(root: Path) -> None:
    """Two P cores with two threads each and a cluster of four E cores, one L3 for all."""
    files: dict[str, object] = {"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-7"}
    for cpu in range(4):
        pair = "0-1" if cpu < 2 else "2-3"
        files |= cpu_with(cpu, [(1, "48K", pair), (2, "2048K", pair), (3, "24576K", "0-7")])
    for cpu in range(4, 8):
        files |= cpu_with(cpu, [(1, "32K", str(cpu)), (2, "4096K", "4-7"), (3, "24576K", "0-7")])
    assert caches(write(root, files), frozenset(range(8))) == (
        Cache(1, "data", 48 * KIB, 2, 2),
        Cache(1, "data", 32 * KIB, 1, 4),
        Cache(2, "unified", 4 * MIB, 4, 1),
        Cache(2, "unified", 2 * MIB, 2, 2),
        Cache(3, "unified", 24 * MIB, 8, 1),
    )


def test_chiplets_with_unlike_caches(root: Path) -> None:
    """As on a 7950X3D: one chiplet carries extra cache."""
    files: dict[str, object] = {}
    for cpu in range(4):
        chiplet, size = ("0-1", "98304K") if cpu < 2 else ("2-3", "32768K")
        files |= cpu_with(cpu, [(1, "32K", str(cpu)), (3, size, chiplet)])
    assert caches(write(root, files), frozenset(range(4)))[1:] == (
        Cache(3, "unified", 96 * MIB, 2, 1),
        Cache(3, "unified", 32 * MIB, 2, 1),
    )


# ---- processors ----


def test_big_little_is_named_in_full(root: Path) -> None:
    blocks = "".join(
        f"CPU implementer\t: 0x41\nCPU part\t: {part}\n\n" for part in ("0xd05", "0xd05", "0xd0b", "0xfff")
    )
    processor = read_processor(write(root, {"proc/cpuinfo": blocks}), "aarch64")
    assert processor.name == "Cortex-A55 + Cortex-A76 + Arm core 0x41:0xfff"


def test_the_kernels_list_equals_cpuid() -> None:
    """The C extension asks the CPU; Linux's flags must say the same."""
    if not native.available() or sys.platform != "linux":
        pytest.skip("needs the C extension on Linux")
    text = Path("/proc/cpuinfo").read_text()
    flags = next(
        line.partition(":")[2] for line in text.splitlines() if line.startswith(("flags", "Features"))
    )
    assert set(from_flags(flags.split())) == set(native.cpu_features())


# ---- disks ----


def test_an_encrypted_disk_and_a_network(root: Path) -> None:
    files = write(
        root,
        {
            "sys/devices/virtual/block/dm-0/slaves/sda3/size": 1,
            "sys/devices/ata/block/sda/sda3/partition": 3,
            "sys/class/block/sda3/dev": "8:3",
            "sys/block/sda/queue/rotational": 0,
            "proc/self/mountinfo": "50 1 0:55 / /h rw - nfs4 server:/home rw\n51 1 0:56 / /t rw - tmpfs t rw",
        },
    )
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/253:0").symlink_to(root / "sys/devices/virtual/block/dm-0")
    (root / "sys/dev/block/8:3").symlink_to(root / "sys/devices/ata/block/sda/sda3")
    assert read_storage(files, (253, 0)) == Storage("sda", "ssd")
    assert read_storage(files, (0, 55)) == Storage("server:/home", "network")
    assert read_storage(files, (0, 56)) == Storage("tmpfs", "ram")
    assert read_storage(files, (0, 99)) is None


def test_a_circle_of_devices_ends(root: Path) -> None:
    files = write(root, {"sys/devices/dm-0/slaves/dm-0/size": 1, "sys/class/block/dm-0/dev": "253:0"})
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/253:0").symlink_to(root / "sys/devices/dm-0")
    assert read_storage(files, (253, 0)) is None


# ---- Macs ----

# An M1 Pro: github.com/Dr-Noob/cpufetch/issues/139; memory and optional features as Apple documents them.
M1_PRO: dict[str, int | str] = {
    "hw.memsize": 16 * GIB, "hw.model": "MacBookPro18,1", "machdep.cpu.brand_string": "Apple M1 Pro",
    "hw.physicalcpu": 10, "hw.logicalcpu": 10, "hw.packages": 1, "hw.pagesize": 16384,
    "kern.hv_vmm_present": 0,
    "hw.optional.AdvSIMD": 1, "hw.optional.arm.FEAT_DotProd": 1, "hw.optional.arm.FEAT_I8MM": 0,
    "hw.nperflevels": 2,
    "hw.perflevel0.logicalcpu": 8, "hw.perflevel0.cpusperl2": 4, "hw.perflevel0.l1dcachesize": 131072,
    "hw.perflevel0.l1icachesize": 196608, "hw.perflevel0.l2cachesize": 12582912,
    "hw.perflevel1.logicalcpu": 2, "hw.perflevel1.cpusperl2": 2, "hw.perflevel1.l1dcachesize": 65536,
    "hw.perflevel1.l1icachesize": 131072, "hw.perflevel1.l2cachesize": 4194304,
}  # fmt: skip


def mac(working_set: Callable[[], int | None] = lambda: None, **changes: int) -> Machine:
    keys = M1_PRO | {key.replace("__", "."): value for key, value in changes.items()}

    def sysctl(key: str) -> bytes | None:
        value = keys.get(key)
        if value is None:
            return None
        return value.encode() + b"\0" if isinstance(value, str) else struct.pack("<q", value)

    return darwin.read_machine(sysctl, lambda: 9 * GIB, working_set)


def test_mac() -> None:
    m1 = mac()
    assert (m1.name, m1.cpu, m1.arch) == ("MacBookPro18,1", "Apple M1 Pro", "aarch64")
    assert (m1.ram_bytes, m1.available_bytes, m1.cores, m1.threads) == (16 * GIB, 9 * GIB, 10, 10)
    assert m1.simd == ("neon", "dotprod")
    assert m1.caches[-2:] == (Cache(2, "unified", 12 * MIB, 4, 2), Cache(2, "unified", 4 * MIB, 2, 1))
    assert m1.unified_memory
    assert m1.system is not None and (m1.system.page_bytes, m1.system.hypervisor) == (16384, "none")


@pytest.mark.parametrize(("ram_gib", "limit_gib"), [(16, 32 / 3), (36, 27), (64, 48)])
def test_what_a_macs_gpu_may_use_is_assumed(ram_gib: int, limit_gib: float) -> None:
    machine = mac(hw__memsize=ram_gib * GIB)
    assert machine.gpus[0].vram_bytes == int(limit_gib * GIB)
    assert "assumed" in machine.gpus[0].source and machine.notes == (machine.gpus[0].source,)


def test_unless_the_user_set_it() -> None:
    machine = mac(iogpu__wired_limit_mb=14000)
    assert machine.gpus[0].vram_bytes == 14000 * MIB
    assert machine.gpus[0].source == "GPU memory limit set by iogpu.wired_limit_mb"


def test_metal_knows_better_than_the_rule_and_the_user_better_than_metal() -> None:
    asked: list[bool] = []

    def told() -> int:
        asked.append(True)
        return 12_713_115_648

    machine = mac(working_set=told)
    assert machine.gpus[0].vram_bytes == 12_713_115_648
    assert "Metal" in machine.gpus[0].source and machine.notes == (machine.gpus[0].source,)
    assert mac(working_set=told, iogpu__wired_limit_mb=9000).gpus[0].vram_bytes == 9000 * MIB
    assert len(asked) == 1


def test_a_mac_that_tells_nothing() -> None:
    empty = darwin.read_machine(lambda key: None, lambda: None)
    assert (empty.ram_bytes, empty.cpu, empty.simd, empty.caches, empty.gpus) == (None, None, (), (), ())


# ---- the slow way ----


def test_gaps_are_filled_and_knowledge_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told = types.SimpleNamespace(get_cpu_info=lambda: {"brand_raw": "A CPU", "flags": ["avx2"]})
    monkeypatch.setitem(sys.modules, "cpuinfo", told)
    filled = fill(Machine("this machine", "this machine", 5 * GIB, threads=3))
    assert (filled.name, filled.cpu, filled.simd) == ("A CPU", "A CPU", ("avx2",))
    assert (filled.ram_bytes, filled.threads) == (5 * GIB, 3)


def test_broken_helpers_leave_the_machine_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cpuinfo", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    bare = Machine("this machine", "this machine", None)
    assert fill(bare) == bare
