"""Energy counters as Linux shows them, on a made-up /sys."""

from pathlib import Path

import pytest

from fitcheck.bench import energy
from fitcheck.bench.energy import Battery, NoMeter, Rapl, find_meter


def zone(sys: Path, name: str, label: str, count: int, size: int = 262_143_328_850) -> Path:
    path = sys / "class/powercap" / name
    path.mkdir(parents=True)
    (path / "name").write_text(f"{label}\n")
    (path / "energy_uj").write_text(f"{count}\n")
    (path / "max_energy_range_uj").write_text(f"{size}\n")
    return path


def battery(sys: Path, status: str, **values: int) -> Path:
    path = sys / "class/power_supply/BAT0"
    path.mkdir(parents=True)
    (path / "type").write_text("Battery\n")
    (path / "status").write_text(f"{status}\n")
    for name, value in values.items():
        (path / name).write_text(f"{value}\n")
    return path


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    part = zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 2_000_000)
    around = zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    meter = find_meter(tmp_path)
    assert isinstance(meter, Rapl)
    assert meter.source == "RAPL, package-0 + package-1"
    meter.start()
    for path, count in ((first, 4_000_000), (part, 3_000_000), (second, 2_500_000), (around, 19_000_000)):
        (path / "energy_uj").write_text(str(count))
    assert meter.stop() == pytest.approx(3.5)


def test_a_counter_that_starts_again_loses_nothing(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, size=10_000_000)
    meter = find_meter(tmp_path)
    assert isinstance(meter, Rapl)
    meter.start()
    (package / "energy_uj").write_text("500000")
    assert meter.stop() == pytest.approx(1.5)


def test_a_counter_that_stands_still_counts_nothing(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 77)
    meter = find_meter(tmp_path)
    assert isinstance(meter, Rapl)
    meter.start()
    assert meter.stop() is None


def test_a_counter_that_goes_away_counts_nothing(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 77)
    meter = find_meter(tmp_path)
    assert isinstance(meter, Rapl)
    meter.start()
    (package / "energy_uj").unlink()
    assert meter.stop() is None


def test_counters_that_may_not_be_read_are_said_to_be(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    (package / "energy_uj").unlink()
    (package / "energy_uj").mkdir()  # reading it fails, whoever runs the test
    meter = find_meter(tmp_path)
    assert isinstance(meter, NoMeter)
    assert "administrator" in meter.why


def test_nothing_there_is_said(tmp_path: Path) -> None:
    meter = find_meter(tmp_path)
    assert isinstance(meter, NoMeter)
    assert "no energy counter" in meter.why


@pytest.mark.parametrize(
    "values", [{"power_now": 12_000_000}, {"current_now": 1_000_000, "voltage_now": 12_000_000}]
)
def test_a_battery_in_use_counts_by_its_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, int]
) -> None:
    battery(tmp_path, "Discharging", **values)
    meter = find_meter(tmp_path)
    assert isinstance(meter, Battery)
    times = iter((100.0, 103.0))
    monkeypatch.setattr(energy.time, "monotonic", lambda: next(times))
    meter.start()
    assert meter.stop() == pytest.approx(36.0)


def test_a_battery_that_charges_says_nothing_of_what_is_used(tmp_path: Path) -> None:
    battery(tmp_path, "Charging", power_now=12_000_000)
    assert isinstance(find_meter(tmp_path), NoMeter)


def test_garbage_is_no_counter(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    (package / "energy_uj").write_bytes(b"\xff\xfe many")
    assert isinstance(find_meter(tmp_path), NoMeter)
