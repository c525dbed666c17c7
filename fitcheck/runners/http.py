"""llama.cpp's server, asked over HTTP on this machine: prompts of token numbers, and the times it states."""

import contextlib
import http.client
import json
import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fitcheck.bench.clock import Deadline
from fitcheck.bench.process import POLL_S, Running
from fitcheck.errors import BadInput
from fitcheck.runners.task import REPETITIONS, Task, Timed
from fitcheck.sources.json_fields import NotJson, parse_json

HOST = "127.0.0.1"
_LONGEST_ANSWER = 1 << 22
_SHORTEST_WAIT_S = 0.1
_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class ServerSession:
    """A server that has loaded the file."""

    running: Running
    port: int
    task: Task
    deadline: Deadline
    flags: tuple[str, ...]
    build: str | None
    features: frozenset[str] | None = None

    def turn(self) -> Timed:
        decode, prefill = [], []
        for _ in range(REPETITIONS):
            if self.task.prompt:
                prefill.append(self._prefill())
            decode.append(self._decode())
            self.running.watch(self.deadline)
        return Timed(tuple(decode), tuple(prefill), self.build, self.running.resident_bytes)

    def _prefill(self) -> float:
        """A prompt behind ``depth`` tokens that are in the cache."""
        self._to_depth()
        times = self._completion(self.task.depth + self.task.prompt, 1)
        return _rate(times, "prompt_n", "prompt_ms")

    def _decode(self) -> float:
        """Tokens behind ``depth``; the first one costs nothing, for the prompt's last answer is it."""
        self._to_depth()
        times = self._completion(max(1, self.task.depth), self.task.decoded + 1)
        return _rate(times, "predicted_n", "predicted_ms", free=1)

    def _to_depth(self) -> None:
        """Leave so many tokens in the cache, and no more, so that no answer of before is there."""
        self._completion(max(1, self.task.depth), 1)

    def _completion(self, prompt: int, decoded: int) -> Mapping[str, Any]:
        """The same tokens each time, so that a longer prompt begins with a shorter one."""
        answer = self._ask(
            "POST",
            "/completion",
            {
                "prompt": [_token(place, self.task.vocab_size) for place in range(prompt)],
                "n_predict": decoded,
                "ignore_eos": True,
                "temperature": 0,
                "cache_prompt": True,
                "id_slot": 0,
            },
        )
        times = answer.get("timings")
        if not isinstance(times, dict):
            raise self._odd("states no times")
        return times

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            status, answer = ask(self.port, method, path, body, self.deadline.left_s)
        except (OSError, http.client.HTTPException):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running.process.wait(_LAST_WORDS_S)  # its connection closes before it has ended
            self.running.watch(self.deadline)  # it failed, or the time is up
            raise self._odd("stopped answering") from None
        if status != http.client.OK:
            raise self._odd(f"answered {path} with status {status}{_reason(answer)}")
        return answer

    def _odd(self, what: str) -> BadInput:
        return BadInput(f"{self.running.name} {what}", "try a newer llama.cpp, or its llama-bench")


def wait_until_loaded(running: Running, port: int, deadline: Deadline) -> str | None:
    """The build that answers once the model is there. Raises BadInput where it never is."""
    while not _loaded(port):
        running.watch(deadline)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(POLL_S)
        if running.process.poll() == 0:
            raise running.failure()
    with contextlib.suppress(OSError, http.client.HTTPException):
        build = ask(port, "GET", "/props", None, deadline.left_s)[1].get("build_info")
        return build[:200] if isinstance(build, str) else None
    return None


def ask(port: int, method: str, path: str, body: object, timeout_s: float) -> tuple[int, dict[str, Any]]:
    """Status and object of the answer, empty if it is none. Raises OSError and HTTPException."""
    connection = http.client.HTTPConnection(HOST, port, timeout=max(_SHORTEST_WAIT_S, timeout_s))
    with contextlib.closing(connection):
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        response = connection.getresponse()
        data = response.read(_LONGEST_ANSWER)
    try:
        answer = parse_json(data)
    except NotJson:
        answer = None
    return response.status, answer if isinstance(answer, dict) else {}


def _loaded(port: int) -> bool:
    try:
        return ask(port, "GET", "/health", None, 1.0)[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _token(place: int, vocab_size: int) -> int:
    """Tokens of many kinds, none of the first few, which mean start and end."""
    least = min(1000, vocab_size // 2)
    return least + place * 7 % max(1, vocab_size - least)


def _rate(times: Mapping[str, Any], count: str, milliseconds: str, free: int = 0) -> float:
    """Tokens a second. Raises BadInput where the server's times say nothing."""
    tokens, taken = _number(times.get(count)), _number(times.get(milliseconds))
    if tokens <= free or taken <= 0:
        said = f"llama.cpp's server gives no usable {milliseconds}"
        raise BadInput(said, "try a newer llama.cpp, or its llama-bench")
    return (tokens - free) * 1000 / taken


def _number(value: object) -> float:
    """What the server states; nothing where that is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return 0.0


def _reason(answer: Mapping[str, Any]) -> str:
    """What the server says is wrong, if it does."""
    error = answer.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    said = " ".join(message.split())[:160] if isinstance(message, str) else ""
    return f": {said}" if said.isprintable() and said else ""
