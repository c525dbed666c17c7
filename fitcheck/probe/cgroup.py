"""What a container or a service may use: the limits of control groups v1 and v2.

A process sits in a group within groups; the smallest limit on the way up is
the one that binds. Page cache and reclaimable slab count as used there but
give way under pressure, so they don't count as used here.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and
cgroup-v1/memory.rst; scheduler/sched-bwc.rst for the CPU quota.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from fitcheck.probe.files import Files, fields, natural

T = TypeVar("T")

# v1 says "no limit" with the largest count of pages; no machine has 4 EiB.
_NO_LIMIT = 1 << 62
_DEEPEST = 64


class Limits(NamedTuple):
    """None where nothing limits, or where nothing can be read."""

    memory_bytes: int | None = None
    available_bytes: int | None = None  # what the tightest group has left
    cpus: float | None = None  # CPU time a second of wall time


class _Hierarchy(NamedTuple):
    """One mounted tree of groups, and the path of ours in it."""

    mount: str
    path: str

    def groups(self) -> Iterator[str]:
        """Our group's directory and those above it, up to the mount."""
        parts = [part for part in self.path.split("/") if part][:_DEEPEST]
        if ".." in parts:  # we stand outside the namespace's root: only the mount is sure
            parts = []
        for depth in range(len(parts), -1, -1):
            yield "/".join([self.mount, *parts[:depth]])


def read_limits(files: Files) -> Limits:
    """The limits that bind this process, over both versions of control groups."""
    memory = [*_each(files, "memory", _memory_v1), *_each(files, "", _memory_v2)]
    cpus = [*_each(files, "cpu", _cpus_v1), *_each(files, "", _cpus_v2)]
    return Limits(
        memory_bytes=min((limit for limit, _ in memory), default=None),
        available_bytes=min((max(0, left) for _, left in memory if left is not None), default=None),
        cpus=min(cpus, default=None),
    )


def _each(files: Files, controller: str, read: Callable[[Files, str], T | None]) -> list[T]:
    hierarchy = _hierarchy(files, controller)
    found = [read(files, group) for group in hierarchy.groups()] if hierarchy else []
    return [value for value in found if value is not None]


def _hierarchy(files: Files, controller: str) -> _Hierarchy | None:
    """Where a controller's tree (v2's where the name is empty) is mounted, and our place in it."""
    path = _own_path(files, controller)
    if path is None:
        return None
    for line in files.lines("proc/self/mountinfo"):
        mount = _mount(line, controller)
        if mount:
            return _Hierarchy(mount[1], _below(path, mount[0]))
    return None


def _own_path(files: Files, controller: str) -> str | None:
    """Our group of a controller, from lines such as ``0::/a`` (v2) or ``4:memory:/a``."""
    for line in files.lines("proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and controller in controllers.split(","):
            return path
    return None


def _mount(line: str, controller: str) -> tuple[str, str] | None:
    """The root and the mount point of a mountinfo line, where it is the tree we look for."""
    left, dash, right = line.partition(" - ")
    where, what = left.split(), right.split()
    if not dash or len(where) < 5 or len(what) < 3:
        return None
    wanted = what[0] == "cgroup" and controller in what[2].split(",") if controller else what[0] == "cgroup2"
    return (where[3], where[4].strip("/")) if wanted else None


def _below(path: str, root: str) -> str:
    """A group's path seen from the mount.

    A container without a namespace of its own sees the host's path, but only
    the part below its own group is mounted there.
    """
    root = root.rstrip("/")
    if not root:
        return path
    return path.removeprefix(root) if path == root or path.startswith(root + "/") else "/"


def _memory_v2(files: Files, group: str) -> tuple[int, int | None] | None:
    """Limit and what is left of it. Past memory.high the kernel throttles: it binds too."""
    limits = (files.number(f"{group}/{name}") for name in ("memory.max", "memory.high"))
    limit = min((value for value in limits if value is not None), default=None)
    if limit is None:
        return None
    stat = fields(files.lines(f"{group}/memory.stat"))
    reclaimable = _sum(stat, "inactive_file", "active_file", "slab_reclaimable")
    return limit, _left(limit, files.number(f"{group}/memory.current"), reclaimable)


def _memory_v1(files: Files, group: str) -> tuple[int, int | None] | None:
    """As v2's; hierarchical_memory_limit also tells of groups above that we can't see."""
    stat = fields(files.lines(f"{group}/memory.stat"))
    limits = (files.number(f"{group}/memory.limit_in_bytes"), stat.get("hierarchical_memory_limit"))
    limit = min((value for value in limits if value is not None), default=_NO_LIMIT)
    if limit >= _NO_LIMIT:
        return None
    reclaimable = _sum(stat, "total_inactive_file", "total_active_file")
    return limit, _left(limit, files.number(f"{group}/memory.usage_in_bytes"), reclaimable)


def _sum(stat: dict[str, int], *names: str) -> int:
    return sum(stat.get(name, 0) for name in names)


def _left(limit: int, used: int | None, reclaimable: int) -> int | None:
    return None if used is None else limit - max(0, used - reclaimable)


def _cpus_v2(files: Files, group: str) -> float | None:
    quota, _, period = (files.text(f"{group}/cpu.max", most=64) or "").partition(" ")
    return _ratio(natural(quota), natural(period))


def _cpus_v1(files: Files, group: str) -> float | None:
    quota = files.number(f"{group}/cpu.cfs_quota_us")  # -1 where there is none
    return _ratio(quota, files.number(f"{group}/cpu.cfs_period_us"))


def _ratio(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period else None
