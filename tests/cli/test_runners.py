"""verify with llama-server, from the outside: a script that answers as one, and the real one in a library."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from fitcheck.bench import native

NATIVE = pytest.mark.skipif(not native.available(), reason="plain reads need the C extension")

SERVER = """#!{python}
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
fake = os.environ.get("FAKE", "")
Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
if fake == "fail":
    sys.exit("error: failed to load model 'x'")
if fake == "hang":
    time.sleep(60)

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"status": "ok"}} if self.path == "/health" else {{"build_info": "b9000-abc1234"}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if fake == "die":
            os._exit(3)
        if fake == "stall":
            time.sleep(60)
        if fake == "refuse":
            return self.answer({{"error": {{"message": "context is too small"}}}}, 400)
        prompt, decoded = len(asked["prompt"]), asked["n_predict"]
        assert prompt + decoded <= int(flags["-c"]) and max(asked["prompt"]) < 96, asked
        times = dict(prompt_n=max(1, prompt - int(os.environ.get("CACHED", 64))), predicted_n=decoded)
        times |= dict(prompt_ms=times["prompt_n"], predicted_ms=2 * (decoded - 1))
        self.answer({{}} if fake == "babble" else {{"timings": times}})

    def answer(self, value, status=200):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass

HTTPServer((flags["--host"], int(flags["--port"])), Answers).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> str:
    program = tmp_path / "llama-server"
    program.write_text(SERVER.format(python=sys.executable))
    program.chmod(0o755)
    return str(program)


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "fitcheck", "verify", "--engine", "llama.cpp", "--threads", "1", *args]


def environment(data: Path, **env: str) -> dict[str, str]:
    return {**os.environ, "XDG_DATA_HOME": str(data), "PID_FILE": str(data / "pid"), **env}


def run(*args: str, data: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(data, **env),
    )


def nothing_is_left(data: Path) -> bool:
    return not psutil.pid_exists(int((data / "pid").read_text()))


@NATIVE
def test_a_servers_own_times_beside_the_prediction(tiny_gguf: Path, server: str, tmp_path: Path) -> None:
    done = run(str(tiny_gguf), "--llama-server", server, "--depth", "64", "--json", data=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["measured_tokens_per_s"] == pytest.approx(500)
    assert result["prefill"]["measured_tokens_per_s"] == pytest.approx(1000)
    assert (result["runner"], result["engine_build"]) == ("llama-server", "b9000-abc1234")
    flags = dict(zip(result["engine_flags"][::2], result["engine_flags"][1::2], strict=True))
    assert (flags["-t"], flags["--host"], flags["-m"]) == ("1", "127.0.0.1", str(tiny_gguf.resolve()))
    assert len(result["raw"]) == 6  # three rounds of two
    assert nothing_is_left(tmp_path)


@NATIVE
@pytest.mark.parametrize(
    ("fake", "said"),
    [
        ("fail", "llama-server failed with exit code 1: error: failed to load model 'x'"),
        ("hang", "llama-server took longer than 2 s"),
        ("stall", "llama-server took longer than 2 s"),
        ("die", "llama-server failed with exit code 3"),
        ("refuse", "llama-server answered /completion with status 400: context is too small"),
        ("babble", "llama-server states no times"),
    ],
)
def test_a_failing_server_is_one_line_and_leaves_nothing(
    fake: str, said: str, tiny_gguf: Path, server: str, tmp_path: Path
) -> None:
    limit = "2" if fake in ("hang", "stall") else "60"
    done = run(str(tiny_gguf), "--llama-server", server, "--time-limit", limit, data=tmp_path, FAKE=fake)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert nothing_is_left(tmp_path)


@NATIVE
@pytest.mark.skipif(sys.platform == "win32", reason="an interrupt is a signal here")
def test_ctrl_c_leaves_nothing_behind(tiny_gguf: Path, server: str, tmp_path: Path) -> None:
    asked = command(str(tiny_gguf), "--llama-server", server)
    with subprocess.Popen(
        asked, env=environment(tmp_path, FAKE="stall"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as fitcheck:
        patience = time.monotonic() + 60
        while not (tmp_path / "pid").exists() and time.monotonic() < patience:
            time.sleep(0.05)
        time.sleep(0.5)  # in the midst of whatever comes next
        fitcheck.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            fitcheck.wait(30)
        fitcheck.kill()
    assert fitcheck.returncode not in (0, -signal.SIGKILL)
    assert nothing_is_left(tmp_path)


def test_the_program_for_timing_comes_first(
    tiny_gguf: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitcheck.runners import find_runner

    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_runner({}).name == "llama-server"
    bench = Path(server).with_name("llama-bench")
    bench.write_text("#!/bin/sh\n")
    bench.chmod(0o755)
    assert find_runner({}).name == "llama-bench"
    assert find_runner({"llama-server": server}).name == "llama-server"


@NATIVE
@pytest.mark.peer
@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("xllamacpp", "gguf", "numpy")),
    reason="no llama.cpp to run: pip install 'fitcheck-planner[peer]'",
)
def test_the_real_server_in_a_library(tmp_path: Path) -> None:
    """Its prompts are as long as asked, its cache as deep, and its answers as many."""
    from dataclasses import replace

    from random_gguf import write

    from fitcheck.sources.catalog import load_model

    model = load_model("smollm2-135m")
    write(replace(model, layers=model.layers[:4]), "Q8_0", tmp_path / "small.gguf")
    asked = (
        str(tmp_path / "small.gguf"),
        "--depth",
        "200",
        "--prompt",
        "128",
        "--flash-attn",
        "off",
        "--json",
    )
    done = run(*asked, data=tmp_path, PATH="/nonexistent")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["runner"], result["depth"]) == ("xllamacpp", 200)
    assert result["measured_tokens_per_s"] > 0
    assert result["prefill"]["tokens"] == 128
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])]
