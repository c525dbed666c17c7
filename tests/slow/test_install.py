"""A fresh install, with and without a C compiler, and the commands it gives."""

import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import psutil
import pytest

from fitcheck.bench.native import available

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def run(command: list[str | Path], **env: str) -> subprocess.CompletedProcess[str]:
    # A path to this tree would be found before what was installed.
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env={**around, **env}
    )


@pytest.fixture(scope="module")
def without_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a new environment into which fitcheck was installed with no C compiler."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home / "venv", with_pip=True)
    scripts = home / "venv" / "bin"
    source = home / "source"
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True, timeout=60)
    done = run([scripts / "pip", "install", "--quiet", source], CC=str(home / "no-such-compiler"))
    assert done.returncode == 0, done.stderr
    return scripts


def test_planning_needs_no_compiler(without_compiler: Path) -> None:
    done = run([without_compiler / "fitcheck", "70b", "--ram", "64G"])
    assert done.returncode == 0
    assert "Q4_K_M" in done.stdout


def test_probe_says_what_is_missing_and_how_to_get_it(without_compiler: Path, tmp_path: Path) -> None:
    done = run([without_compiler / "fitcheck", "probe"], XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    assert "the microbenchmark is missing" in done.stdout + done.stderr
    assert "install a C compiler" in done.stdout + done.stderr


@pytest.mark.parametrize("verb", [["bench"], ["verify", "8b"]])
def test_what_measures_refuses_in_one_line(without_compiler: Path, verb: list[str]) -> None:
    done = run([without_compiler / "fitcheck", *verb])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not available(), reason="the C extension is not installed")
def test_verify_runs_and_can_be_stopped() -> None:
    """Every layer of a real shape; then Ctrl-C in the midst of a run."""
    command = [sys.executable, "-m", "fitcheck", "verify", "bitnet-2b", "--format", "trit5"]
    done = run([*command, "--json"])
    assert done.returncode == 0, done.stderr
    assert '"layers_run": 30, "layers_total": 30' in done.stdout
    command[4] = "8b"
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    held = psutil.Process(running.pid)
    while running.poll() is None and held.memory_info().rss < 300e6:  # of 1.5 GB of weights
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in errors
