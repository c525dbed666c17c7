"""Headers over HTTP, from a server on this machine that also misbehaves on request."""

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import SimpleNamespace
from typing import ClassVar

import pytest

from fitcheck.errors import FitcheckError
from fitcheck.sources import remote
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.remote import read_remote, url_of

urllib3 = pytest.importorskip("urllib3")


class Files(BaseHTTPRequestHandler):
    """Serves ``content`` with ranges; the path's first part asks for a fault."""

    protocol_version = "HTTP/1.1"
    content: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[list[tuple[str, int, str | None]]] = []
    wbufsize = 0

    def do_GET(self) -> None:
        fault, _, name = self.path.split("?")[0][1:].rpartition("/")
        refusals = {
            "redirect": (302, {"Location": f"/{name}"}),
            "circle": (302, {"Location": self.path}),
            "whole": (200, {}),
        }
        if fault.isdigit():
            self.answer(int(fault))
        elif name not in self.content:
            self.answer(404)
        elif fault in refusals:
            status, headers = refusals[fault]
            self.answer(status, b"x" * 1000, **headers)
        else:
            self.range(fault, name, self.content[name])

    def range(self, fault: str, name: str, data: bytes) -> None:
        begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        if begin >= len(data):
            self.answer(416)
            return
        part = data[begin : end + 1]
        self.sent.append((name, len(part), self.headers["Authorization"]))
        self.part(fault, part, begin, len(data))

    def part(self, fault: str, part: bytes, begin: int, total: int) -> None:
        begin += fault == "shifted"
        total += len(self.sent) if fault == "growing" else 0
        range_ = f"bytes {begin}-{begin + len(part) - 1}/{'*' if fault == 'sizeless' else total}"
        if fault == "unlabelled":
            range_ = "nonsense"
        headers = {"Content-Range": range_} | ({"Content-Encoding": "gzip"} if fault == "packed" else {})
        if fault == "short":
            return self.answer(206, part[: len(part) // 2], length=len(part), **headers)
        if fault == "drip":
            return self.drip(part, headers)
        return self.answer(206, part + b"more" * (fault == "long"), **headers)

    def drip(self, part: bytes, headers: dict[str, str]) -> None:
        self.answer(206, part[:1], length=len(part), **headers)
        for at in range(1, len(part)):
            time.sleep(0.05)
            self.wfile.write(part[at : at + 1])

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if length is not None and length != len(body) and "drip" not in self.path:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    made.daemon_threads = True
    made.handle_error = lambda *_: None  # a client that leaves early is what some tests are about
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


@pytest.fixture(autouse=True)
def files(tiny) -> None:
    Files.content = {"model.gguf": tiny, "empty.gguf": b"", "page.gguf": b"<!doctype html><html>"}
    Files.sent = []


@pytest.fixture(scope="module")
def large(draft) -> bytes:
    """A header of 4 MB before 12 MB of weights."""
    made = draft(metadata={"general.architecture": "llama", "t": [f"token {n:020}" for n in range(110_000)]})
    return made.add("token_embd.weight", (1024, 3072), 0, 4 * 1024 * 3072).bytes()


def test_only_the_header_travels(server, large):
    Files.content["large.gguf"] = large
    read = read_remote(f"{server}/large.gguf", {})
    assert read.tensors[0].bytes == 4 * 1024 * 3072
    assert read.file_bytes == len(large)
    travelled = sum(size for _, size, _ in Files.sent)
    assert 3.7e6 < travelled < 8e6
    assert len(Files.sent) <= 5


@pytest.mark.parametrize("path", ["model.gguf", "redirect/model.gguf", "model.gguf?download=true"])
def test_a_small_file_in_one_request(server, path):
    assert model_of(read_remote(f"{server}/{path}", {})).name == "Tiny"
    assert len(Files.sent) == 1


def test_all_parts_of_a_split_model(server, draft):
    for number in range(3):
        split = {"split.no": ("u16", number), "split.count": ("u16", 3), "split.tensors.count": 3}
        made = draft(metadata={"general.architecture": "llama", **split}).add(f"t{number}", (32,), 0, 128)
        Files.content[f"m-{number + 1:05}-of-00003.gguf"] = made.bytes()
    assert [t.name for t in read_remote(f"{server}/m-00002-of-00003.gguf", {}).tensors] == ["t0", "t1", "t2"]
    del Files.content["m-00003-of-00003.gguf"]
    with pytest.raises(FitcheckError, match="has no such file"):
        read_remote(f"{server}/m-00001-of-00003.gguf", {})


@pytest.mark.parametrize(
    ("path", "message", "remedy"),
    [
        ("missing.gguf", "has no such file", "check the address"),
        ("401/model.gguf", "wants to know who asks", "HF_TOKEN"),
        ("403/model.gguf", "refuses access", "HF_TOKEN"),
        ("429/model.gguf", "asks to wait", "try again"),
        ("500/model.gguf", "answers with error 500", "try again later"),
        ("whole/model.gguf", "can't send a part of a file", "download the file first"),
        ("circle/model.gguf", "redirects in circles", "check the address"),
        ("shifted/model.gguf", "sends another part than was asked for", "download"),
        ("sizeless/model.gguf", "sends another part than was asked for", "download"),
        ("unlabelled/model.gguf", "sends another part than was asked for", "download"),
        ("packed/model.gguf", "sends another part than was asked for", "download"),
        ("short/model.gguf", "broke off", "try again"),
        ("empty.gguf", "says the file is empty", "check the address"),
        ("page.gguf", "page.gguf is not a GGUF file but a web page", "login"),
    ],
)
def test_a_server_that_fails_is_one_clear_line(server, path, message, remedy):
    with pytest.raises(FitcheckError) as caught:
        read_remote(f"{server}/{path}", {})
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 2
    assert caught.value.message.isprintable()
    assert "urllib3" not in caught.value.message


def test_a_server_that_sends_too_much_is_read_no_further(server):
    assert model_of(read_remote(f"{server}/long/model.gguf", {})).name == "Tiny"


def test_a_server_that_drips_is_left_at_the_deadline(server, monkeypatch):
    """A clock on which a minute passes at each look: the second byte comes too late."""
    minutes = count()
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=lambda: 60.0 * next(minutes)))
    with pytest.raises(FitcheckError, match="sends too slowly"):
        read_remote(f"{server}/drip/model.gguf", {})
    assert next(minutes) <= 4


def test_a_header_without_end_is_left_at_the_limit(server, large, monkeypatch):
    monkeypatch.setattr(remote, "MOST_BYTES", 1 << 20)
    Files.content["large.gguf"] = large
    with pytest.raises(FitcheckError, match="sends a header of more than"):
        read_remote(f"{server}/large.gguf", {})


def test_a_file_that_changes_in_between(server, large):
    Files.content["large.gguf"] = large
    with pytest.raises(FitcheckError, match="changed while it was read"):
        read_remote(f"{server}/growing/large.gguf", {})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9/model.gguf", "127.0.0.1:9 can't be reached"),
        ("http://nosuch.invalid/model.gguf", "nosuch.invalid is not found: no network, or no such host"),
        ("http:///model.gguf", "is no address"),
        ("http://[::1/model.gguf", "no address"),
        ("http://127.0.0.1:99999/model.gguf", "is no address"),
        ("https://", "is no address"),
        ("hf:owner", "names no file"),
        ("hf:owner/repository", "names no file"),
        ("hf:../../x/y.gguf", None),
    ],
)
def test_offline_and_wrong_addresses(url, message):
    with pytest.raises(FitcheckError, match=message and re.escape(message)):
        read_remote(url, {"HF_ENDPOINT": "http://127.0.0.1:9"})


def test_the_hub_by_its_short_form(server):
    Files.content["Qwen3-8B-Q4_K_M.gguf"] = Files.content["model.gguf"]
    assert url_of("hf:unsloth/Qwen3-8B-GGUF/Q4/a b.gguf", {}) == (
        "https://huggingface.co/unsloth/Qwen3-8B-GGUF/resolve/main/Q4/a%20b.gguf"
    )
    assert (
        url_of("https://huggingface.co/a/b/blob/main/c.gguf", {})
        == "https://huggingface.co/a/b/resolve/main/c.gguf"
    )
    read = read_remote("hf:unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf", {"HF_ENDPOINT": server})
    assert read.name == "Qwen3-8B-Q4_K_M.gguf"


def test_a_token_goes_to_the_hub_alone(server):
    environment = {"HF_ENDPOINT": f"{server}/hub", "HF_TOKEN": "hf_secret\n"}
    read_remote(f"{server}/model.gguf", environment)
    assert Files.sent.pop()[2] is None
    Files.content["x.gguf"] = Files.content["model.gguf"]
    read_remote("hf:a/b/x.gguf", environment)
    assert Files.sent.pop()[2] == "Bearer hf_secret"


def test_a_token_is_not_carried_to_another_host(server, monkeypatch):
    """The hub redirects to a store of files: to 127.0.0.1 from localhost here."""
    port = server.rsplit(":", 1)[1]
    monkeypatch.setattr(Files, "do_GET", redirecting(Files.do_GET, f"{server}/model.gguf"))
    environment = {"HF_ENDPOINT": f"http://localhost:{port}", "HF_TOKEN": "hf_secret"}
    read_remote("hf:a/b/model.gguf", environment)
    assert [token for _, _, token in Files.sent] == [None]


def redirecting(plain, target: str):
    def do_get(handler) -> None:
        if handler.headers["Host"].startswith("localhost"):
            handler.answer(302, Location=target)
        else:
            plain(handler)

    return do_get


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://p:1"),
        ({"http_proxy": "http://p:1"}, None),
        ({"all_proxy": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "example.org, huggingface.co"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": ".co"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "face.co"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, None),
    ],
)
def test_proxies_as_everybody_reads_them(environment, proxy):
    assert remote._proxy("https://huggingface.co/a", environment) == proxy


def test_without_the_library_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "urllib3", None)
    with pytest.raises(FitcheckError) as caught:
        read_remote("https://huggingface.co/a/b/c.gguf", {})
    assert caught.value.remedy == "pip install 'fitcheck-planner[remote]'"
