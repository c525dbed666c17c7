"""Every command that prints JSON keeps its schema."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from fitcheck.bench.native import available
from fitcheck.render.json_schema import DIRECTORY

pytestmark = pytest.mark.slow

COMMANDS = {
    "plan-1": ["8b", "--ram", "16G"],
    "needs-1": ["need", "8b", "--speed", "10"],
    "explanation-1": ["explain", "8b", "--format", "Q4_K_M"],
    "probe-1": ["probe"],
    "bench-1": ["bench", "--format", "trit5", "--threads", "1"],
    "verification-1": ["verify", "bitnet-2b", "--format", "trit5", "--context", "256"],
    "accuracy-1": ["accuracy", "--engine", "exllamav2"],
    "calibration-1": ["calibrate", "8b", "--format", "Q4_K_M", "--measured", "2"],
    "ranking-1": ["models", "--ram", "16G", "--all"],
    "error-1": ["nosuch"],
}
MEASURING = ("bench-1", "verification-1")


@pytest.mark.parametrize("schema", COMMANDS)
def test_json_keeps_its_schema(schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if schema in MEASURING and not available():
        pytest.skip("the C extension is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "fitcheck", *COMMANDS[schema], "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    printed = json.loads(done.stdout)
    jsonschema.validate(printed, json.loads((DIRECTORY / f"{schema}.json").read_text()))
    assert printed["schema"].replace("fitcheck.", "").replace("/", "-") == schema


def test_every_schema_has_a_command() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(COMMANDS)
