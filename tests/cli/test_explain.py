"""explain takes the machine's engines the way a plan does, the user's calibration with them."""

import json

import pytest
from click.testing import CliRunner

from fitcheck.cli import explain, plan
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.sources.engines import load_engines

ASKED = ["8b", "--format", "Q4_K_M", "--machine", "m2-max"]


@pytest.mark.parametrize("room", [explain, plan])
def test_both_ask_for_the_engines_as_calibrated(room: object, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def engines_of(machine: Machine) -> tuple[Engine, ...]:
        asked.append(machine.name)
        return load_engines()

    monkeypatch.setattr(room, "engines_of", engines_of)
    done = CliRunner().invoke(room.command, [*ASKED, "--json"])  # type: ignore[attr-defined]
    assert done.exit_code == 0, done.output
    assert asked == ["apple-m2-max"]


@pytest.mark.parametrize("form", ["Q4_K_M", "MLX-4bit", "MLX-4bit-g32", "MLX-mixed-4-6"])
def test_the_lines_add_up_to_what_a_plan_says(form: str) -> None:
    run = CliRunner()
    lines = json.loads(
        run.invoke(explain.command, ["8b", "--format", form, "--machine", "m2-max", "--json"]).output
    )
    told = json.loads(
        run.invoke(plan.command, ["8b", "--format", form, "--machine", "m2-max", "--json"]).output
    )
    assert lines["total_bytes"] == told["plans"][0]["total_bytes"]
    assert lines["memory"] == told["plans"][0]["memory"]
