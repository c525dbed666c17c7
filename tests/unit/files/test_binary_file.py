"""What isn't a model file is said to be what it is, in one line, and never hangs."""

import os
import socket
import threading
from pathlib import Path

import pytest

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import Cursor, LocalFile, MemorySource, shown
from fitcheck.sources.gguf_file import parse_gguf, read_gguf

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 42520393152\n"


@pytest.mark.parametrize(
    ("head", "what", "remedy"),
    [
        (b"", "an empty file", "download it again"),
        (b"\0" * 4096, "a run of zeros", "download it again"),
        (b"\x1f\x8b\x08\x00", "a gzip archive", "gunzip"),
        (b"\x28\xb5\x2f\xfd....", "a zstd archive", "zstd -d"),
        (b"PK\x03\x04....", "a zip archive or a PyTorch checkpoint", ".safetensors"),
        (b"\x80\x02}q\x00", "a pickled PyTorch checkpoint", ".safetensors"),
        (b"\x7fELF\x02\x01\x01", "a program (ELF)", "the model file itself"),
        (b"MZ\x90\x00", "a Windows program", "the model file itself"),
        (b"<!DOCTYPE html><html><head><title>Sign in", "a web page", "login"),
        (b"\n  <html lang=en>", "a web page", "login"),
        (LFS, "a Git LFS pointer to 42.52 GB", "git lfs pull"),
        (b"tjgg\x03\x00\x00\x00", "a GGJT file from before GGUF", "as .gguf"),
        (b'\x10\0\0\0\0\0\0\0{"a":{}}      ', "a safetensors file", ".safetensors"),
        (b'{"architectures": ["LlamaForCausalLM"]}', "JSON text", "config.json"),
        (b"\xff\xfe\xfd\xfc" * 100, "something else", ".gguf"),
        (b"GGU", "something else", ".gguf"),
    ],
)
def test_a_foreign_file_is_named(head, what, remedy):
    with pytest.raises(BadInput) as caught:
        parse_gguf(head, "model.gguf")
    assert caught.value.message == f"model.gguf is not a GGUF file but {what}"
    assert remedy in caught.value.remedy


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "is a directory"),
        (fifo, "is a pipe"),
        (unix_socket, "is a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (loop, "leads back to itself"),
        (dangling, "does not exist"),
        (lambda path: None, "does not exist"),
    ],
    ids=["directory", "pipe", "socket", "device", "loop", "dangling", "missing"],
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, make, what):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(Path("model.gguf"))
    caught: list[BaseException] = []
    thread = threading.Thread(target=lambda: caught.append(failure(Path("model.gguf"))), daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert what in str(caught[0])


def failure(path: Path) -> BaseException:
    try:
        read_gguf(path)
    except BadInput as error:
        return error
    raise AssertionError("read without complaint")


def test_a_file_without_permission(open_folder, unprivileged, tiny):
    path = open_folder / "model.gguf"
    path.write_bytes(tiny)
    path.chmod(0)
    with unprivileged(), pytest.raises(BadInput, match="permission denied"):
        read_gguf(path)


@pytest.mark.parametrize(
    "name",
    ["a\0b.gguf", "x" * 5000 + ".gguf", "a/b.gguf/c.gguf", "tiny.gguf/c.gguf"],
    ids=["nul", "long", "missing", "file"],
)
def test_impossible_paths(tmp_path, tiny, name):
    tmp_path.joinpath("tiny.gguf").write_bytes(tiny)
    with pytest.raises(BadInput):
        read_gguf(tmp_path / name)


def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path, monkeypatch):
    path = tmp_path / "model.gguf"
    os.mkfifo(path)
    looked = Path(__file__).stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_: looked)
    with pytest.raises(BadInput, match="is a pipe"):
        LocalFile(path)


def test_a_file_that_shrinks_while_it_is_read_is_no_crash(tmp_path, tiny):
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny)
    with LocalFile(path) as source:
        os.truncate(path, 10)
        cursor = Cursor(source)
        with pytest.raises(BadInput, match="ends inside its header"):
            cursor.take(100)


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain é 漢", "plain é 漢"),
        ("a\nb\x1b[31mred", "a\\nb\\x1b[31mred"),
        ("\udcff", "\\udcff"),
        ("\u202eevil", "\\u202eevil"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_text_from_files_is_safe_on_a_terminal(raw, safe):
    assert shown(raw) == safe
    shown(raw).encode()


def test_a_cursor_reads_what_is_there_and_no_more():
    data = bytes(range(256)) * 40
    cursor = Cursor(MemorySource("m", data))
    assert cursor.take(3) == data[:3]
    cursor.skip(5000)
    assert (cursor.tell(), cursor.take(10)) == (5003, data[5003:5013])
    with pytest.raises(BadInput):
        cursor.skip(len(data))
    assert cursor.take(len(data) - 5013) == data[5013:]
    with pytest.raises(BadInput):
        cursor.take(1)
