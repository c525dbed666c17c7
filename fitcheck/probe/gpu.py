"""Graphics processors and their memory. Costs nothing where no driver is loaded.

NVIDIA: NVML through nvidia-ml-py where installed (extra ``nvidia``), else the
driver's nvidia-smi. Either may take a second to wake the card, so the door in
``__init__`` remembers the answer as long as the driver lists the same cards.
AMD: the amdgpu driver's own files.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fitcheck.probe.files import Files, natural
from fitcheck.schema.machine import Gpu
from fitcheck.units import MIB

_SMI_TIMEOUT_S = 5.0
_SMI = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
_WSL_SMI = "/usr/lib/wsl/lib"
_NVIDIA_CARDS = "proc/driver/nvidia/gpus"
_DRM = "sys/class/drm"
_AMD, _INTEL = "0x1002", "0x8086"
_AMD_NAMES = "usr/share/libdrm/amdgpu.ids"


class Gpus(NamedTuple):
    """The GPUs with memory that was read, and a note on each that wasn't."""

    gpus: tuple[Gpu, ...] = ()
    unified: bool = False  # a GPU without memory of its own works in RAM
    notes: tuple[str, ...] = ()


def nvidia_fingerprint(files: Files) -> str | None:
    """What changes when the NVIDIA cards do; None where no driver is loaded."""
    cards = files.names(_NVIDIA_CARDS)
    if cards:
        described = (files.text(f"{_NVIDIA_CARDS}/{card}/information", most=4096) or card for card in cards)
        return "\n".join(described)
    if files.exists("dev/nvidiactl"):  # a container may hide the driver's /proc
        return "nvidiactl " + " ".join(name for name in files.names("dev") if name.startswith("nvidia"))
    return "wsl" if files.exists("dev/dxg") else None


def query_nvidia() -> Gpus:
    """Ask NVML, or nvidia-smi, which cards there are. May take a second or more."""
    return _ask_nvml() or _ask_smi() or Gpus(notes=("an NVIDIA driver is loaded but names no GPU",))


def _ask_nvml() -> Gpus | None:
    try:
        import pynvml  # noqa: PLC0415 (optional, and slow to import)

        pynvml.nvmlInit()
    except Exception:  # not installed, or no driver it can talk to: nvidia-smi comes next
        return None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return _collect(_nvml_card(pynvml, handle) for handle in handles)
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _nvml_card(nvml: Any, handle: Any) -> tuple[str, int | None, float | None]:
    """Name, memory (None where it is the RAM) and bandwidth of one card."""
    name = nvml.nvmlDeviceGetName(handle)
    name = name.decode() if isinstance(name, bytes) else str(name)
    try:
        memory: int | None = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    except nvml.NVMLError:  # GB10 and Jetson answer "not supported"
        memory = None
    return name, memory, _nvml_bandwidth(nvml, handle)


def _nvml_bandwidth(nvml: Any, handle: Any) -> float | None:
    """Two transfers a clock over the whole bus: 936 GB/s for an RTX 3090's 9751 MHz and 384 bits."""
    try:
        megahertz = nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM)
        bits = nvml.nvmlDeviceGetMemoryBusWidth(handle)
    except (nvml.NVMLError, AttributeError):  # AttributeError: a pynvml older than the call
        return None
    return 2 * megahertz * 1e6 * bits / 8 or None


def _ask_smi() -> Gpus | None:
    import shutil  # noqa: PLC0415 (only where a driver is loaded)
    import subprocess  # noqa: PLC0415

    program = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=_WSL_SMI)
    if program is None:
        return None
    try:
        done = subprocess.run([program, *_SMI], capture_output=True, timeout=_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_smi(done.stdout.decode("utf-8", "replace"))


def parse_smi(output: str) -> Gpus | None:
    """The cards of ``name, memory in MiB`` lines; None where there is none."""
    rows = (line.rpartition(",") for line in output.splitlines())
    cards = [(name.strip(), natural(size.strip())) for name, comma, size in rows if comma]
    return _collect((name, size * MIB if size else None, None) for name, size in cards) if cards else None


def _collect(cards: Iterator[tuple[str, int | None, float | None]]) -> Gpus:
    found = list(cards)
    gpus = tuple(
        Gpu(name, memory, bandwidth, "NVML: 2 x memory clock x bus width" if bandwidth else "NVIDIA driver")
        for name, memory, bandwidth in found
        if memory
    )
    shared = [name for name, memory, _ in found if not memory]
    notes = tuple(f"{name} reports no memory of its own: it works in RAM" for name in shared)
    return Gpus(gpus, bool(shared), notes)


def read_drm(files: Files) -> Gpus:
    """AMD cards with their memory; Intel's are only named, their driver doesn't tell."""
    cards = [name for name in files.names(_DRM) if name.startswith("card") and name[4:].isdigit()]
    gpus = [gpu for card in cards if (gpu := _amd_card(files, f"{_DRM}/{card}/device"))]
    intel = any(files.text(f"{_DRM}/{card}/device/vendor", most=64) == _INTEL for card in cards)
    note = "an Intel GPU is present; its driver doesn't tell its memory, give it with --vram"
    return Gpus(tuple(gpus), notes=(note,) if intel else ())


def _amd_card(files: Files, device: str) -> Gpu | None:
    if files.text(f"{device}/vendor", most=64) != _AMD:
        return None
    memory = files.number(f"{device}/mem_info_vram_total")
    if not memory:
        return None
    name = files.text(f"{device}/product_name") or _amd_name(files, device) or "AMD GPU"
    return Gpu(name, memory, None, "amdgpu: mem_info_vram_total")


def _amd_name(files: Files, device: str) -> str | None:
    """The card's name in libdrm's list, whose lines read ``744C,	C8,	AMD Radeon RX 7900 XTX``."""
    wanted = [_hex(files.text(f"{device}/{name}", most=64)) for name in ("device", "revision")]
    for line in files.lines(_AMD_NAMES):
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and parts[:2] == wanted:
            return parts[2]
    return None


def _hex(text: str | None) -> str:
    return (text or "").removeprefix("0x").upper()
