"""CPUs, cores, caches and NUMA nodes, from /sys/devices/system.

A server has hundreds of CPUs with two dozen files each, so only what can
differ is read: one CPU of each kind, and each last-level cache.
"""

from collections import Counter
from dataclasses import replace
from typing import Literal, NamedTuple

from fitcheck.probe.files import Files, cpu_list, fields, natural
from fitcheck.schema.machine import Cache, NumaNode

_CPU = "sys/devices/system/cpu"
_NODE = "sys/devices/system/node"
_KINDS: dict[str, Literal["data", "instruction", "unified"]] = {
    "Data": "data",
    "Instruction": "instruction",
    "Unified": "unified",
}


class _Found(NamedTuple):
    """A cache as one CPU sees it, in that ``directory`` of the CPU."""

    directory: str
    cache: Cache
    cpus: frozenset[int]


def online_cpus(files: Files) -> frozenset[int]:
    """The CPUs in use; empty where unknown."""
    return cpu_list(files.text(f"{_CPU}/online"))


def cores(files: Files, cpus: frozenset[int]) -> int | None:
    """The physical cores behind these CPUs; None where the kernel doesn't say."""
    return _groups(files, cpus, "thread_siblings_list")


def sockets(files: Files, cpus: frozenset[int]) -> int | None:
    """The processor packages these CPUs sit on; None where the kernel doesn't say."""
    return _groups(files, cpus, "core_siblings_list")


def _groups(files: Files, cpus: frozenset[int], members: str) -> int | None:
    """How many groups these CPUs form, each naming its members; one CPU of each is asked."""
    waiting, count = set(cpus), 0
    while waiting:
        cpu = min(waiting)
        group = cpu_list(files.text(f"{_CPU}/cpu{cpu}/topology/{members}"))
        if cpu not in group:
            return None
        waiting -= group
        count += 1
    return count or None


def caches(files: Files, cpus: frozenset[int]) -> tuple[Cache, ...]:
    """The caches of these CPUs, smallest level first; equal ones are counted together.

    Inner caches are alike within a kind of core. The last level is read one by
    one: chiplets may differ (a 7950X3D has one of 96 MiB and one of 32), and
    kinds of cores may share it.
    """
    counts: Counter[Cache] = Counter()
    outer: dict[frozenset[int], Cache] = {}
    for kind in _kinds(files, cpus):
        *inner, last = _seen_by(files, min(kind)) or (None,)
        for one in inner:
            counts[one.cache] += -(-len(kind) // one.cache.shared_by)
        outer |= {one.cpus: one.cache for one in _each_last(files, kind, last)}
    counts.update(outer.values())
    found = (replace(cache, count=count) for cache, count in counts.items())
    return tuple(sorted(found, key=lambda cache: (cache.level, cache.kind, -cache.size_bytes)))


def _kinds(files: Files, cpus: frozenset[int]) -> list[frozenset[int]]:
    """The CPUs sorted by kind of core: Intel names its kinds, Arm rates each CPU's capacity."""
    names = ("cpu_core", "cpu_atom", "cpu_lowpower")
    groups = [cpu_list(files.text(f"sys/devices/{name}/cpus")) & cpus for name in names]
    if not any(groups):
        groups = _by_capacity(files, cpus)
    rest = cpus.difference(*groups)
    return [group for group in (*groups, rest) if group]


def _by_capacity(files: Files, cpus: frozenset[int]) -> list[frozenset[int]]:
    if not files.exists(f"{_CPU}/cpu{min(cpus, default=0)}/cpu_capacity"):
        return []
    by: dict[int | None, set[int]] = {}
    for cpu in cpus:
        by.setdefault(files.number(f"{_CPU}/cpu{cpu}/cpu_capacity"), set()).add(cpu)
    return [frozenset(group) for group in by.values()]


def _seen_by(files: Files, cpu: int) -> list[_Found]:
    """The caches of a CPU, by level."""
    names = [name for name in files.names(f"{_CPU}/cpu{cpu}/cache") if name.startswith("index")]
    found = [_cache(files, cpu, name) for name in names]
    return sorted((one for one in found if one), key=lambda one: one.cache.level)


def _each_last(files: Files, cpus: frozenset[int], first: _Found | None) -> list[_Found]:
    """The last-level caches of these CPUs, starting from the first CPU's."""
    if first is None:
        return []
    found, waiting = [first], set(cpus - first.cpus)
    while waiting:
        cpu = min(waiting)
        one = _cache(files, cpu, first.directory)
        if one is None or cpu not in one.cpus:
            break
        found.append(one)
        waiting -= one.cpus
    return found


def _cache(files: Files, cpu: int, name: str) -> _Found | None:
    directory = f"{_CPU}/cpu{cpu}/cache/{name}"
    level = files.number(f"{directory}/level")
    size = _size(files.text(f"{directory}/size", most=64))
    kind = _KINDS.get(files.text(f"{directory}/type", most=64) or "")
    cpus = cpu_list(files.text(f"{directory}/shared_cpu_list"))
    if not (level and size and kind and cpus):
        return None
    return _Found(name, Cache(level, kind, size, len(cpus), count=1), cpus)


def _size(text: str | None) -> int | None:
    """Bytes of a size such as ``32K``, the kernel's only unit here."""
    number = natural((text or "").removesuffix("K"))
    return number * 1024 if number and text and text.endswith("K") else None


def numa_nodes(files: Files, ram_bytes: int | None) -> tuple[NumaNode, ...]:
    """The memory nodes with their CPUs and RAM.

    A single node has all the RAM: its own meminfo leaves out memory that was
    added while the machine ran, as some virtual machines do.
    """
    numbers = (natural(name.removeprefix("node")) for name in files.names(_NODE))
    nodes = [node for number in sorted(n for n in numbers if n is not None) if (node := _node(files, number))]
    if len(nodes) == 1 and ram_bytes:
        return (replace(nodes[0], ram_bytes=ram_bytes),)
    return tuple(nodes)


def _node(files: Files, number: int) -> NumaNode | None:
    lines = files.lines(f"{_NODE}/node{number}/meminfo")
    kilobytes = fields((line.partition(f"Node {number} ")[2] for line in lines), ":").get("MemTotal")
    cpus = cpu_list(files.text(f"{_NODE}/node{number}/cpulist"))
    return None if kilobytes is None else NumaNode(number, len(cpus), kilobytes * 1024)
