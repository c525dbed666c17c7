"""What calibration keeps comes back as it was, and what is broken is moved aside."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.schema.calibration import Factors, Learned, Run, Shape
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.sources import calibration as store
from fitcheck.sources.calibration_path import data_directory, has_calibration, machine_key, path_of
from fitcheck.sources.catalog import load_model, load_models
from fitcheck.sources.plain_data import decode, encode
from fitcheck.sources.weight_files import load_gguf

HERE = Machine("here", "test", 16 << 30, arch="x86_64", cpu="A CPU")
LEARNED = Learned("llama.cpp", "cpu", Factors(0.8, 1.1), 0.9, 1.1, 2, 7)


def kept() -> store.Kept:
    shape = Shape(load_model("qwen3-30b-a3b"), "Q4_K_M")
    run = Run(shape, Request(threads=4, depth=2048), "llama.cpp", "cpu", 11.5, "typed in")
    return store.Kept(machine_key(HERE), ((run, replace(run, prompt=512)), (run,)), (LEARNED,))


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    assert store.load_calibration(HERE, tmp_path) == (store.Kept("here, A CPU, x86_64"), None)
    assert not has_calibration(HERE, tmp_path)
    store.save_calibration(kept(), tmp_path)
    assert has_calibration(HERE, tmp_path)
    assert store.load_calibration(HERE, tmp_path) == (kept(), None)
    assert store.load_calibration(replace(HERE, name="another"), tmp_path)[0].runs == ()
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]  # nothing half-written is left


def test_ram_in_place_of_its_own_leaves_it_the_same_machine() -> None:
    assert machine_key(replace(HERE, ram_bytes=1 << 40, threads=3)) == machine_key(HERE)


def test_every_shape_survives() -> None:
    for model in load_models():
        text = json.dumps(encode(model))
        assert decode(Model, json.loads(text)) == model
        assert len(text) < 40_000, model.name


def test_a_real_file_s_weights_survive(tiny_gguf: Path) -> None:
    file = load_gguf(str(tiny_gguf))
    shape = Shape(file.model, file.weights.name, file.weights)
    assert decode(Shape, json.loads(json.dumps(encode(shape)))) == shape


BROKEN = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'{"schema": "fitcheck.calibrations/2"}',
    b"\xff\xfe",
    b'{"schema": "fitcheck.calibrations/1", "machine": "here, A CPU, x86_64", "learned": [], "batches": 3}',
    b"[" * 100_000,
)


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_broken_is_moved_aside(text: bytes, tmp_path: Path) -> None:
    path = path_of(machine_key(HERE), tmp_path)
    path.write_bytes(text)
    found, notice = store.load_calibration(HERE, tmp_path)
    assert found == store.Kept(machine_key(HERE))
    assert notice is not None and "moved to" in notice
    assert path.with_suffix(".broken.json").read_bytes() == text
    assert store.load_calibration(HERE, tmp_path) == (found, None)


@settings(max_examples=60)
@given(data=st.data())
def test_any_value_changed_is_read_or_moved_aside(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No field of a file by hand ends in a traceback later."""
    directory = tmp_path_factory.mktemp("data")
    store.save_calibration(kept(), directory)
    path = path_of(machine_key(HERE), directory)
    at = table = json.loads(path.read_text())
    while True:
        names = list(at) if isinstance(at, dict) else list(range(len(at)))
        name = data.draw(st.sampled_from(names))
        if not isinstance(at[name], dict | list) or not at[name]:
            break
        at = at[name]
    at[name] = data.draw(st.sampled_from([None, "x", -1, 0, 1e308, [], {}, True, 5000]))
    path.write_text(json.dumps(table))
    found, notice = store.load_calibration(HERE, directory)
    assert notice is None or found.runs == ()
    for run in found.runs:
        assert run.tokens_per_s > 0


def test_where_it_lies() -> None:
    where = data_directory
    assert where({"XDG_DATA_HOME": "/data"}, "linux") == Path("/data/fitcheck")
    assert where({"XDG_DATA_HOME": "relative"}, "linux") == Path("~/.local/share/fitcheck").expanduser()
    assert where({}, "darwin").parts[-2:] == ("Application Support", "fitcheck")
    assert where({"LOCALAPPDATA": "C:/Local"}, "win32") == Path("C:/Local/fitcheck/Data")


def test_a_directory_that_can_t_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be kept"):
        store.save_calibration(kept(), tmp_path / "file" / "below")
