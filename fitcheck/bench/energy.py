"""Energy, where the system says what it takes.

Linux shows two sources to programs: the processor's own counters (RAPL, under
/sys/class/powercap on Intel and on AMD since Zen) and a laptop's battery. A GPU
has no part in what is run here, so its counters are not asked.
"""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
_MICRO = 1e-6


class Meter(ABC):
    """Counts joules from start to stop."""

    source: str

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> float | None:
        """Joules since the start; None where the source stood still or went away."""


@dataclass(frozen=True, slots=True)
class NoMeter:
    """Why nothing can be counted."""

    why: str


def find_meter(sys: Path = SYS) -> Meter | NoMeter:
    """The best source there is: counters before a battery's estimate."""
    packages = _packages(sys)
    readable = [package for package in packages if _number(package / "energy_uj") is not None]
    if readable and len(readable) == len(packages):
        return Rapl(readable)
    for supply in sorted(sys.glob("class/power_supply/*")):
        if _text(supply / "type") == "Battery" and _text(supply / "status") == "Discharging":
            return Battery(supply)
    if packages:
        return NoMeter("the processor's energy counters (RAPL) are for the administrator only")
    return NoMeter("this system shows no energy counter (RAPL) and no battery in use")


def _packages(sys: Path) -> list[Path]:
    """One RAPL zone a socket. Zones within it, and psys around it, would count the same twice."""
    zones = sorted(sys.glob("class/powercap/intel-rapl:*"))
    return [zone for zone in zones if (_text(zone / "name") or "").startswith("package")]


class Rapl(Meter):
    """Counters in microjoules that start again from zero at a known size."""

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._before: list[int | None] = []
        self.source = f"RAPL, {' + '.join(_text(package / 'name') or package.name for package in packages)}"

    def start(self) -> None:
        self._before = self._counts()

    def stop(self) -> float | None:
        used = 0
        for package, before, now in zip(self._packages, self._before, self._counts(), strict=True):
            if before is None or now is None:
                return None
            used += now - before if now >= before else now - before + self._size(package)
        return used * _MICRO or None

    def _counts(self) -> list[int | None]:
        return [_number(package / "energy_uj") for package in self._packages]

    def _size(self, package: Path) -> int:
        return _number(package / "max_energy_range_uj") or 0


class Battery(Meter):
    """What the battery says it gives, at both ends of the time."""

    def __init__(self, supply: Path) -> None:
        self._supply = supply
        self._begun = 0.0
        self._watts: float | None = None
        self.source = f"battery {supply.name}, the whole machine"

    def start(self) -> None:
        self._begun, self._watts = time.monotonic(), self._power()

    def stop(self) -> float | None:
        seconds, watts = time.monotonic() - self._begun, self._power()
        if not watts or not self._watts:
            return None
        return (watts + self._watts) / 2 * seconds

    def _power(self) -> float | None:
        """Watts: said outright, or as current and voltage."""
        power = _number(self._supply / "power_now")
        if power is not None:
            return power * _MICRO
        current, voltage = _number(self._supply / "current_now"), _number(self._supply / "voltage_now")
        if current is None or voltage is None:
            return None
        return current * _MICRO * voltage * _MICRO


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None
