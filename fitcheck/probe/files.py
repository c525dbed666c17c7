"""Read the small files of /proc and /sys: what can't be read is None, never an error.

Every reader takes a root, so that a captured machine replays like a real one.
``os.open`` and not ``Path.read_text``: it costs a quarter, and a probe reads
some hundred files.
"""

import os
from collections.abc import Iterable

_CHUNK = 1 << 16
_LONGEST = 1 << 21  # /proc/cpuinfo of a thousand CPUs; anything longer is no such file
_MOST_CPUS = 8192  # as many as Linux can be built for


class Files:
    """The files beneath a root directory, ``/`` on a live machine."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/") + "/"

    def text(self, path: str, most: int = _LONGEST) -> str | None:
        """The file's text without surrounding space, at most ``most`` bytes of it."""
        try:
            descriptor = os.open(self._root + path, os.O_RDONLY)
        except (OSError, ValueError):  # ValueError: a null byte in a path that a broken file gave
            return None
        try:
            return _read(descriptor, most).decode("utf-8", "replace").strip()
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def lines(self, path: str) -> list[str]:
        """The file's lines; none where it can't be read."""
        return (self.text(path) or "").splitlines()

    def number(self, path: str) -> int | None:
        """The whole number the file holds."""
        return natural(self.text(path, most=64))

    def names(self, path: str) -> list[str]:
        """What lies in a directory, sorted; nothing where there is none."""
        try:
            return sorted(os.listdir(self._root + path))  # noqa: PTH208 (names, not paths)
        except (OSError, ValueError):
            return []

    def exists(self, path: str) -> bool:
        return os.access(self._root + path, os.F_OK)

    def link(self, path: str) -> str | None:
        """Where a symbolic link leads, with every link on the way followed."""
        try:
            return os.path.realpath(self._root + path, strict=True)
        except (OSError, ValueError):
            return None


def natural(text: str | None) -> int | None:
    """A whole number of at most twenty digits, or None for anything else."""
    if text is None or len(text) > 20 or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def fields(lines: Iterable[str], separator: str | None = None) -> dict[str, int]:
    """``name value`` lines as numbers: meminfo (kB stays kB), memory.stat, arcstats.

    The first whole number after the name counts; lines without one are left out.
    """
    found: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(separator or " ")
        value = natural((rest.split() or [""])[0])
        if value is not None:
            found[name.strip()] = value
    return found


def cpu_list(text: str | None) -> frozenset[int]:
    """The CPUs of a kernel list such as ``0-3,8,10-11``; parts that make no sense are left out."""
    found: set[int] = set()
    for part in (text or "")[:4096].split(","):
        first, _, last = part.strip().partition("-")
        low, high = natural(first), natural(last or first)
        if low is not None and high is not None and high < _MOST_CPUS:
            found.update(range(low, high + 1))
    return frozenset(found)


def _read(descriptor: int, most: int) -> bytes:
    """Read until the end: the kernel hands out some of its files a page at a time."""
    parts: list[bytes] = []
    while most > 0 and (part := os.read(descriptor, min(_CHUNK, most))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
