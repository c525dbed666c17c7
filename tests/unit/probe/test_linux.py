"""Captured Linux machines replayed: what fitcheck says of each, field by field."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from fitcheck.probe.files import Files
from fitcheck.probe.linux import Process, read_machine, this_process
from fitcheck.schema.machine import Cache, Machine, MemoryModules, Storage, System
from fitcheck.units import GIB, KIB, MIB


@pytest.fixture
def machine(captured: Callable[[str], Any]) -> Callable[[str], Machine]:
    def probe(name: str) -> Machine:
        replay = captured(name)
        return read_machine(replay.files, replay.process)

    return probe


def test_virtual_machine(machine: Callable[[str], Machine]) -> None:
    vm = machine("vm_zen4_2cpu")
    assert (vm.name, vm.cpu, vm.arch) == ("AMD EPYC", "AMD EPYC", "x86_64")
    assert (vm.cores, vm.threads) == (2, 2)
    assert vm.ram_bytes == 24684096 * KIB
    assert vm.limit_bytes is None, "hybrid control groups without a limit"
    assert vm.available_bytes == 23929780 * KIB
    assert vm.simd == ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_vbmi")
    assert vm.caches == (
        Cache(1, "data", 32 * KIB, shared_by=1, count=2),
        Cache(1, "instruction", 32 * KIB, shared_by=1, count=2),
        Cache(2, "unified", 1 * MIB, shared_by=1, count=2),
        Cache(3, "unified", 32 * MIB, shared_by=2, count=1),
    )
    assert [node.ram_bytes for node in vm.numa] == [vm.ram_bytes], "added memory belongs to the only node"
    assert vm.storage == Storage("vda", "virtual")
    assert vm.system == System(4096, 2 * MIB, "madvise", None, "unnamed", logical_cpus=2, sockets=1)
    assert (vm.bandwidth_bytes_per_s, vm.bandwidth_basis) == (None, "assumed")


def test_desktop(machine: Callable[[str], Machine]) -> None:
    desktop = machine("ryzen_5950x")
    assert desktop.cpu == "AMD Ryzen 9 5950X 16-Core Processor"
    assert (desktop.cores, desktop.threads) == (16, 32)
    assert desktop.simd == ("avx2", "fma", "f16c")
    assert desktop.caches[-1] == Cache(3, "unified", 32 * MIB, shared_by=16, count=2)
    assert desktop.caches[2] == Cache(2, "unified", 512 * KIB, shared_by=2, count=16)
    assert desktop.memory == MemoryModules("DDR4", 2, 2, 128, 3.2e9)
    assert desktop.peak_bandwidth_bytes_per_s == 51.2e9
    assert desktop.storage == Storage("nvme0n1", "nvme"), "btrfs hides its device number"
    assert [(gpu.name, gpu.vram_bytes) for gpu in desktop.gpus] == [("AMD Radeon RX 7900 XTX", 25753026560)]
    assert desktop.system is not None
    assert (desktop.system.hypervisor, desktop.system.governor) == ("none", "schedutil")


def test_zfs_gives_back_its_cache(machine: Callable[[str], Machine]) -> None:
    assert machine("ryzen_5950x").available_bytes == 26828796 * KIB + 25752031232 - 2102733440


def test_server_with_two_sockets(machine: Callable[[str], Machine]) -> None:
    server = machine("epyc_7451_2s")
    assert (server.cores, server.threads) == (48, 96)
    assert server.system is not None and (server.system.sockets, server.system.logical_cpus) == (2, 96)
    assert [(node.node, node.cpus) for node in server.numa] == [(node, 12) for node in range(8)]
    assert sum(node.ram_bytes for node in server.numa) == server.ram_bytes
    assert server.caches[-1] == Cache(3, "unified", 8 * MIB, shared_by=6, count=16)
    assert server.caches[1] == Cache(1, "instruction", 64 * KIB, shared_by=2, count=48)
    assert server.storage == Storage("sda", "hdd")
    assert server.simd == ("avx2", "fma", "f16c")


def test_raspberry_pi(machine: Callable[[str], Machine]) -> None:
    pi = machine("raspberry_pi_5")
    assert (pi.name, pi.cpu) == ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76")
    assert (pi.arch, pi.cores, pi.threads) == ("aarch64", 4, 4)
    assert pi.simd == ("neon", "dotprod")
    assert pi.system is not None and pi.system.page_bytes == 16384
    assert pi.system.hypervisor is None, "an Arm kernel without firmware tables doesn't tell"
    assert pi.storage == Storage("mmcblk0", "mmc")
    assert pi.caches[-1] == Cache(3, "unified", 2 * MIB, shared_by=4, count=1)


def test_container_page_cache_is_not_used_memory(machine: Callable[[str], Machine]) -> None:
    container = machine("docker_v2_4g")
    assert container.ram_bytes == 64741276 * KIB, "the host's view"
    assert container.limit_bytes == 4 * GIB, "the container's view"
    # 3.5 GiB are charged, of which 3 GiB are page cache and 40 MiB reclaimable slab.
    assert container.available_bytes == 4 * GIB - 500 * MIB + 40 * MIB
    assert (container.cores, container.threads) == (2, 2), "2.5 CPUs of quota"
    assert container.notes == ("a CPU quota of 2.5 CPUs leaves 2 of 16 logical CPUs",)
    assert {"avx_vnni", "amx_int8"} <= set(container.simd)
    assert container.system is not None
    assert (container.system.hypervisor, container.system.transparent_huge_pages) == ("kvm", "never")


def test_version_1_groups_without_a_namespace(machine: Callable[[str], Machine]) -> None:
    container = machine("docker_v1_6g")
    assert container.limit_bytes == 6 * GIB, "hierarchical_memory_limit tells of a group we can't see"
    assert container.available_bytes == 4 * GIB
    assert (container.cores, container.threads) == (1, 1), "half a CPU still is one thread"


def test_the_tightest_of_nested_groups_binds(machine: Callable[[str], Machine]) -> None:
    pod = machine("kubernetes_nested")
    assert pod.limit_bytes == 16 * GIB, "the pod's memory.high, below its own max and the container's"
    assert pod.available_bytes == 14 * GIB
    assert pod.threads == 6


def test_broken_proc_is_unknown_not_an_error(tmp_path: object) -> None:
    """A root without any file: nothing known, nothing raised."""
    empty = read_machine(Files(str(tmp_path)), Process(None, None, None, None))
    assert empty == Machine("this machine", "this machine", None, system=System())


class CountedFiles(Files):
    """The machine's files, and how often one was read."""

    reads = 0

    def text(self, path: str, most: int = 1 << 21) -> str | None:
        self.reads += 1
        return super().text(path, most)


def test_here_with_few_files() -> None:
    """The machine the tests run on: sane figures, from some files and a few for each CPU."""
    files = CountedFiles()
    here = read_machine(files, this_process())
    assert 0 < files.reads < 100 + 40 * (os.cpu_count() or 1)
    assert here.ram_bytes and here.available_bytes and here.available_bytes <= here.ram_bytes
    assert here.threads and here.cores and here.cores <= here.threads
