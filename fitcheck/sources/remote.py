"""GGUF files on a server: the header by range requests, the weights stay where they are.

urllib3 does the talking, when a URL is given and not before: one well-kept
package without dependencies, whose redirects never carry a token to another
host. (httpx brings five packages and a longer import for features nobody needs
here; the standard library's client has no pools and checks little.)
"""

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from fitcheck.errors import BadInput, FitcheckError
from fitcheck.sources.binary_file import FIRST_READ, shown
from fitcheck.sources.gguf_file import GgufFile, join, part_names, read_part
from fitcheck.units import gb

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_S, READ_S, TOTAL_S = 5.0, 10.0, 60.0
MOST_BYTES = 1 << 26  # headers have up to 20 MB; a server that keeps sending is stopped here

_HUB = "https://huggingface.co"
_HF = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)/(?P<file>[^?#]+)")
_PAGE = re.compile(r"(?P<repository>https://huggingface\.co/[^/]+/[^/]+)/blob/(?P<rest>.+)")
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Unreachable(FitcheckError):
    """A server that can't be asked, or that answers something else."""


def read_remote(text: str, environment: Mapping[str, str]) -> GgufFile:
    """A model from a URL or ``hf:owner/repository/file.gguf``; of a split one, from all its parts.

    ``environment`` may give HF_ENDPOINT, HF_TOKEN and proxies. Raises
    Unreachable for what the network does, BadInput for what the file is.
    """
    url = url_of(text, environment)
    name = _last_part(url)
    with _pool(url, environment) as pool:
        session = Session(pool, _headers(url, environment))
        parts = [read_part(RemoteFile(session, _beside(url, part))) for part in part_names(name)]
    return join(name, parts)


def url_of(text: str, environment: Mapping[str, str]) -> str:
    """The URL that the text stands for. A page about a file on the hub stands for the file."""
    if not text.startswith("hf:"):
        page = _PAGE.fullmatch(text)
        return f"{page['repository']}/resolve/{page['rest']}" if page else text
    match = _HF.fullmatch(text)
    if match is None:
        raise BadInput(f"'{shown(text)}' names no file", "write it as hf:owner/repository/file.gguf")
    return f"{_endpoint(environment)}/{match['repository']}/resolve/main/{quote(match['file'])}"


def _last_part(url: str) -> str:
    """The file's name. Raises BadInput where the URL can't be taken apart."""
    try:
        return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    except ValueError:
        raise BadInput(f"'{shown(url)}' is no address", "write it as https://host/path/file.gguf") from None


def _endpoint(environment: Mapping[str, str]) -> str:
    return environment.get("HF_ENDPOINT", "").rstrip("/") or _HUB


def _beside(url: str, name: str) -> str:
    """The URL of another file in the same place."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rsplit("/", 1)[0] + "/" + quote(name)))


def _headers(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """A token goes to the hub alone: models with a licence to accept need it."""
    token, endpoint = environment.get("HF_TOKEN", "").strip(), _endpoint(environment)
    owned = token.isprintable() and url.startswith(endpoint + "/")
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token and owned else {})


def _pool(url: str, environment: Mapping[str, str]) -> "PoolManager":
    """Connections, through a proxy where the environment names one."""
    try:
        import urllib3  # noqa: PLC0415  (40 ms that local files don't need)
    except ImportError:
        raise Unreachable(
            "reading a file from a server needs urllib3", "pip install 'fitcheck-planner[remote]'"
        ) from None
    retries = urllib3.Retry(total=4, connect=1, read=1, redirect=4, status=0, backoff_factor=0.2)
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    if proxy := _proxy(url, environment):
        return urllib3.ProxyManager(proxy, retries=retries, timeout=timeout)
    return urllib3.PoolManager(retries=retries, timeout=timeout)


def _proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """As curl and everybody does it: https_proxy, unless no_proxy names the host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    lower = {name.lower(): value for name, value in environment.items()}
    excepted = [name.strip().lstrip(".") for name in lower.get("no_proxy", "").split(",") if name.strip()]
    if "*" in excepted or any(host == name or host.endswith("." + name) for name in excepted):
        return None
    return lower.get(f"{parts.scheme}_proxy") or lower.get("all_proxy") or None


class Session:
    """What one command may ask of servers in all: so many seconds, so many bytes."""

    def __init__(self, pool: "PoolManager", headers: dict[str, str]) -> None:
        self._pool = pool
        self._headers = headers
        self._deadline = time.monotonic() + TOTAL_S
        self._bytes_left = MOST_BYTES

    def fetch(self, url: str, offset: int, count: int) -> tuple[bytes, int]:
        """Bytes from ``offset``, ``count`` or as many as there are, and the whole file's size."""
        import urllib3  # noqa: PLC0415

        host = shown(urlsplit(url).netloc.rsplit("@", 1)[-1]) or f"'{shown(url)}'"
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise Unreachable(
                f"{host} sends a header of more than {gb(MOST_BYTES)}", "download the file first"
            )
        wanted = {"Range": f"bytes={offset}-{offset + count - 1}"}
        try:
            answer = self._pool.request("GET", url, headers=self._headers | wanted, preload_content=False)
            try:
                size = _size(answer, host, offset)
                return self._body(answer, host, min(count, size - offset)), size
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise _network(error, host) from None

    def _body(self, answer: "BaseHTTPResponse", host: str, count: int) -> bytes:
        """Reads as it comes, so that a server that drips can't hold us past the deadline."""
        chunks, missing = [], count
        while missing > 0:
            if time.monotonic() > self._deadline:
                raise Unreachable(f"{host} sends too slowly", "try again later, or download the file first")
            chunk = answer.read1(missing)
            if not chunk:
                raise Unreachable(f"{host} broke off", "try again")
            chunks.append(chunk)
            missing -= len(chunk)
        return b"".join(chunks)


class RemoteFile:
    """A file that is read in pieces from its URL."""

    def __init__(self, session: Session, url: str) -> None:
        self.name = shown(_last_part(url))
        self._session, self._url = session, url
        self._held, self.size = session.fetch(url, 0, FIRST_READ)
        self._at = 0

    def read(self, offset: int, count: int) -> bytes:
        """From what was fetched last, or from the server."""
        count = max(0, min(count, self.size - offset))
        if offset < self._at or offset + count > self._at + len(self._held):
            self._held, size = self._session.fetch(self._url, offset, count)
            self._at = offset
            if size != self.size:
                raise Unreachable(f"{self.name} changed while it was read", "try again")
        return self._held[offset - self._at : offset - self._at + count]


def _size(answer: "BaseHTTPResponse", host: str, offset: int) -> int:
    """The whole file's size, from an answer that gives the part that was asked for."""
    if answer.status == 416:
        raise BadInput(f"{host} says the file is empty", "check the address")
    if answer.status != 206:
        raise _refused(answer.status, host)
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if (
        match is None
        or int(match[1]) != offset
        or answer.headers.get("Content-Encoding", "identity") != "identity"
    ):
        raise Unreachable(f"{host} sends another part than was asked for", "download the file first")
    return int(match[3])


_STATUS = {
    200: ("can't send a part of a file", "download the file first, then give its path"),
    401: ("wants to know who asks", "accept the model's licence on its page, and set HF_TOKEN"),
    403: ("refuses access", "accept the model's licence on its page, and set HF_TOKEN"),
    404: ("has no such file", "check the address: owner, repository and the file's whole name"),
    410: ("has no such file any more", "check the address: owner, repository and the file's whole name"),
    429: ("asks to wait: too many requests", "try again in some minutes"),
}


def _refused(status: int, host: str) -> FitcheckError:
    what, remedy = _STATUS.get(status, (f"answers with error {status}", "try again later"))
    return Unreachable(f"{host} {what}", remedy)


def _network(error: Exception, host: str) -> FitcheckError:
    """What went wrong underneath, without the library's own words."""
    kind = type(getattr(error, "reason", None) or error).__name__
    what, remedy = _KINDS.get(kind, ("can't be reached", _OFFLINE))
    return Unreachable(f"{host} {what}", remedy)


_OFFLINE = "check the network, or download the file elsewhere and give its path"
_KINDS = {
    "NameResolutionError": ("is not found: no network, or no such host", _OFFLINE),
    "ConnectTimeoutError": ("does not answer", _OFFLINE),
    "ReadTimeoutError": ("stopped answering", "try again later, or download the file first"),
    "ProtocolError": ("broke off", "try again"),
    "IncompleteRead": ("broke off", "try again"),
    "SSLError": ("shows a certificate that can't be trusted", "check the address and this machine's clock"),
    "ResponseError": ("redirects in circles", "check the address"),
    "LocationParseError": ("is no address", "write it as https://host/path/file.gguf"),
    "LocationValueError": ("is no address", "write it as https://host/path/file.gguf"),
    "URLSchemeUnknown": ("is no address", "write it as https://host/path/file.gguf"),
}
