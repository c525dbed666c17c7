"""calibrate, and verify with an engine, from the outside; the engine is a script that answers as one."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fitcheck.bench import native

RECORDED = Path(__file__).parents[1] / "unit" / "sources" / "results" / "llama_bench.json"
NATIVE = pytest.mark.skipif(not native.available(), reason="plain reads need the C extension")
NOTHING_FOUND = "no llama-bench or llama-server is on PATH, and no xllamacpp is installed"
MACHINE = ("--machine", "ryzen-9-7950x")

BENCH = """#!{python}
import json, os, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.environ.get("FAKE") == "fail":
    sys.exit("error: failed to load model 'x'")
if os.environ.get("FAKE") == "hang":
    time.sleep(60)
if os.environ.get("FAKE") == "babble":
    print("| model | t/s |")
    sys.exit()
row = dict(model_filename=flags["-m"], model_size=1, n_threads=int(flags["-t"]), n_depth=int(flags["-d"]),
           build_commit="abc1234", build_number=9000)
prompt, decoded = int(flags["-p"]), int(flags["-n"])
rows = [dict(row, n_prompt=prompt, n_gen=0, samples_ns=[prompt * 1000000] * 2)] if prompt else []
print(json.dumps(rows + [dict(row, n_prompt=0, n_gen=decoded, samples_ns=[decoded * 2000000] * 2)]))
"""


def run(*args: str, data: Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fitcheck", *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        input=stdin,
        env={**os.environ, "XDG_DATA_HOME": str(data), **env},
    )


def calibrate(*args: str, data: Path, stdin: str = "") -> dict[str, Any]:
    done = run("calibrate", *args, *MACHINE, "--json", data=data, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def speed(data: Path) -> float:
    done = run("8b", *MACHINE, "--format", "Q8_0", "--json", data=data)
    return float(json.loads(done.stdout)["plans"][0]["decode_tokens_per_s"]["expected"])


def test_one_number_typed_in_moves_the_plans_of_that_machine(tmp_path: Path) -> None:
    before = speed(tmp_path)
    report = calibrate("llama-3.2-3b", "--format", "Q4_K_M", "--measured", "20", data=tmp_path)
    assert report["schema"] == "fitcheck.calibration/1"
    [row] = report["runs"]
    assert abs(row["after"] - 20) < abs(row["before"] - 20)
    assert {other["model"] for other in report["others"]} >= {"llama-3.1-8b", "qwen3-30b-a3b"}
    assert speed(tmp_path) == pytest.approx(before * report["learned"][0]["factors"]["bandwidth"], rel=0.1)
    plan = run("8b", *MACHINE, "--format", "Q8_0", data=tmp_path).stdout
    assert "llama.cpp on this CPU is calibrated by 1 run of your own" in plan
    other = run("8b", "--machine", "ryzen-9-5950x", data=tmp_path).stdout
    assert "calibrated" not in other
    calibrate("--undo", data=tmp_path)
    assert speed(tmp_path) == before


def test_results_from_stdin_and_from_a_file(tmp_path: Path) -> None:
    wanted = ("--model", "qwen2.5-0.5b", "--format", "Q4_K_M")
    tests = [test for test in json.loads(RECORDED.read_text()) if test["n_gen"]]
    (tmp_path / "results.json").write_text(json.dumps(tests))
    one = calibrate(str(tmp_path / "results.json"), *wanted, data=tmp_path / "one")
    two = calibrate("-", *wanted, data=tmp_path / "two", stdin=json.dumps(tests))
    assert one == two
    assert [row["depth"] for row in one["runs"]] == [0, 256]
    listed = calibrate("--list", data=tmp_path / "one")
    assert listed["learned"] == one["learned"]
    cleared = calibrate("--clear", data=tmp_path / "one")
    assert cleared["learned"] == []
    assert calibrate("--list", data=tmp_path / "one")["runs"] == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("llama-3.2-3b", "--format", "Q4_K_M", "--measured", "2000"), "above the physical limit of"),
        (("llama-3.2-3b", "--measured", "20"), "says no weight format"),
        (("nosuchfile.json",), "nosuchfile.json"),
        (("8b", "--list"), "more than one thing to do"),
        ((), "nothing to learn from"),
        (("--measured", "8"), "of no model"),
        (("8b",), "with --measured"),
        (("--undo",), "nothing was learned"),
        (("-",), "stdin is empty"),
        (("8b", "--format", "Q4_K_M", "--measured", "5", "--engine", "nosuch"), "no engine is called"),
        (("8b", "--format", "Q4_K_M", "--measured", "5", "--gpu"), "Q4_K_M"),
        (("nemotron-h-8b", "--format", "Q4_K_M", "--measured", "5", "--prompt", "512"), "no prefill"),
    ],
)
def test_bad_input_is_one_line(args: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run("calibrate", *args, *MACHINE, data=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("fitcheck: ")
    assert not list(tmp_path.iterdir())  # nothing was learned


def test_a_broken_file_is_moved_aside_with_a_notice(tmp_path: Path) -> None:
    calibrate("llama-3.2-3b", "--format", "Q4_K_M", "--measured", "20", data=tmp_path)
    [kept] = (tmp_path / "fitcheck").iterdir()
    kept.write_text("{")
    done = run("8b", *MACHINE, data=tmp_path)
    assert done.returncode == 0
    assert "unreadable: moved to" in done.stderr
    assert not kept.exists()


@pytest.fixture
def llama_bench(tmp_path: Path) -> str:
    program = tmp_path / "llama-bench"
    program.write_text(BENCH.format(python=sys.executable))
    program.chmod(0o755)
    return str(program)


@NATIVE
def test_an_engine_beside_its_prediction(tiny_gguf: Path, llama_bench: str, tmp_path: Path) -> None:
    asked = ("verify", "--engine", "llama.cpp", str(tiny_gguf), "--threads", "1", "--depth", "64", "--json")
    done = run(*asked, data=tmp_path, FITCHECK_LLAMA_BENCH=llama_bench)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["measured_tokens_per_s"] == pytest.approx(500)
    assert result["error"] == pytest.approx(result["predicted_tokens_per_s"] / 500 - 1, rel=0.5)
    assert (result["engine"], result["engine_build"]) == ("llama.cpp", "abc1234 (b9000)")
    assert result["prefill"]["measured_tokens_per_s"] == pytest.approx(1000)
    assert result["prefill"]["predicted_tokens_per_s"] is None  # nobody measured a prompt in F32
    flags = dict(zip(result["engine_flags"][::2], result["engine_flags"][1::2], strict=True))
    assert (flags["-t"], flags["-d"], flags["-m"]) == ("1", "64", str(tiny_gguf.resolve()))
    assert len(result["raw_read"]) == 3


@NATIVE
@pytest.mark.parametrize(
    ("fake", "said"),
    [
        ("fail", "llama-bench failed with exit code 1: error: failed to load model 'x'"),
        ("hang", "llama-bench took longer than 1 s"),
        ("babble", "the results are no JSON"),
    ],
)
def test_a_failing_engine_is_one_line(
    fake: str, said: str, tiny_gguf: Path, llama_bench: str, tmp_path: Path
) -> None:
    asked = ("verify", "--engine", "llama.cpp", str(tiny_gguf), "--llama-bench", llama_bench)
    done = run(
        *asked, "--threads", "1", "--time-limit", "1" if fake == "hang" else "60", data=tmp_path, FAKE=fake
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_can_t_be_run_is_one_line(tiny_gguf: Path, tmp_path: Path) -> None:
    for args, said in (
        (("8b", "--engine", "llama.cpp", "--llama-bench", "/bin/true"), "8b is no GGUF file"),
        ((str(tiny_gguf), "--engine", "vllm"), "can't run vllm"),
        ((str(tiny_gguf), "--engine", "llama.cpp", "--llama-bench", "/nosuch"), "/nosuch is no program"),
        (
            (str(tiny_gguf), "--engine", "llama.cpp", "--llama-server", "/nosuch"),
            "name its llama-server with",
        ),
        *(() if find_spec("xllamacpp") else (((str(tiny_gguf), "--engine", "llama.cpp"), NOTHING_FOUND),)),
    ):
        done = run("verify", *args, data=tmp_path, PATH="/nonexistent")
        assert done.returncode == 2
        assert said in done.stderr, args
        assert done.stderr.count("\n") == 1
