"""What the current directory's files lie on: a model that doesn't fit is read from there."""

from typing import Literal

from fitcheck.probe.files import Files
from fitcheck.schema.machine import Storage

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "fuse.sshfs", "drvfs"}
_RAM = {"tmpfs", "ramfs"}
# A virtual disk's host doesn't tell what is behind it.
_BY_NAME: dict[str, Literal["nvme", "mmc", "virtual"]] = {
    "nvme": "nvme",
    "mmcblk": "mmc",
    "vd": "virtual",
    "xvd": "virtual",
}


def read_storage(files: Files, device: tuple[int, int] | None) -> Storage | None:
    """The device with this major and minor number; None where it can't be told."""
    if device is None:
        return None
    disk = _disk(files, f"{device[0]}:{device[1]}")
    return _local(files, disk) if disk else _mounted(files, device)


def _disk(files: Files, number: str, layers: int = 8) -> str | None:
    """The whole disk behind a device number: sda of sda2, the first one behind LVM or LUKS."""
    path = files.link(f"sys/dev/block/{number}")
    if path is None or layers == 0:
        return None
    for below in files.names(f"sys/dev/block/{number}/slaves"):
        return _disk(files, _number(files, below), layers - 1)
    parts = path.split("/")
    return parts[-2] if files.exists(f"sys/dev/block/{number}/partition") else parts[-1]


def _number(files: Files, name: str) -> str:
    """The ``major:minor`` of a block device; nothing where it has none."""
    return files.text(f"sys/class/block/{name}/dev", most=64) or "none"


def _local(files: Files, disk: str) -> Storage:
    for prefix, kind in _BY_NAME.items():
        if disk.startswith(prefix):
            return Storage(disk, kind)
    return Storage(disk, "hdd" if files.number(f"sys/block/{disk}/queue/rotational") == 1 else "ssd")


def _mounted(files: Files, device: tuple[int, int]) -> Storage | None:
    """File systems without a device number of their own: btrfs, network, RAM."""
    for line in files.lines("proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        where, what = left.split(), right.split()
        if len(where) > 4 and len(what) > 1 and where[2] == f"{device[0]}:{device[1]}":
            return _by_type(files, what[0], what[1])
    return None


def _by_type(files: Files, filesystem: str, source: str) -> Storage | None:
    if filesystem in _NETWORK:
        return Storage(source, "network")
    if filesystem in _RAM:
        return Storage(filesystem, "ram")
    disk = _disk(files, _number(files, source.rsplit("/", 1)[-1])) if source.startswith("/dev/") else None
    return _local(files, disk) if disk else None
