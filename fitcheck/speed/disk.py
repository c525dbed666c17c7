"""Decode where the weights don't all stay in RAM: evicted pages are read again for each token."""

from math import exp
from typing import Literal, NamedTuple

from fitcheck.schema.machine import Basis, Storage

# Sequential reads by kind, bytes/s: NVMe by PCIe 3.0 x4 (Samsung 970 EVO Plus data
# sheet, 3500 MB/s), SATA SSD (Samsung 870 EVO data sheet, 560), disks (Seagate
# BarraCuda 8 TB data sheet, 190), UHS-I cards (its bus carries 104), gigabit
# Ethernet (125, less frames). Of virtual disks nobody knows what is behind them: a
# gp3 volume's default is 125 MB/s, a local NVMe's a gigabyte and more.
_ASSUMED: dict[str, float] = {
    "nvme": 3.5e9,
    "ssd": 0.56e9,
    "hdd": 0.19e9,
    "mmc": 0.09e9,
    "virtual": 0.5e9,
    "network": 0.11e9,
    "ram": 3.5e9,
}
_UNKNOWN: Literal["nvme"] = "nvme"  # what machines that run models are sold with
_SETTLED = 1e-9  # the share of pages by which a solution may be off


class Disk(NamedTuple):
    """What the model's file is read at."""

    bytes_per_s: float
    kind: str
    basis: Basis


class Reread(NamedTuple):
    """Bytes each token reads from the disk again: at best, as expected, at worst."""

    least: float
    expected: float
    most: float


def disk_of(storage: Storage | None) -> Disk:
    """The measured or given rate, else what such storage is sold with."""
    if storage is not None and storage.read_bytes_per_s:
        return Disk(storage.read_bytes_per_s, storage.kind, "measured")
    kind = storage.kind if storage else _UNKNOWN
    return Disk(_ASSUMED[kind], kind, "assumed")


def reread(cache_bytes: int, each_token: int, experts_read: int, experts: int) -> Reread:
    """What a token finds evicted where ``cache_bytes`` of the weights can stay.

    ``each_token`` is read by every token in the same order: a cache that throws
    out the oldest page keeps none of it, the best one possible all it has room
    for, and one that throws out any page by chance a share h = exp(-n/c (1-h)) of
    it. Experts change from token to token: the share of them that has room is
    found. Assumed, not measured: systems differ, and none says which it is.
    """
    room = cache_bytes - each_token
    if room >= 0:
        missing = max(0.0, 1 - room / experts) if experts else 0.0
        return Reread(*[experts_read * missing] * 3)
    kept = max(0, cache_bytes)
    by_chance = each_token * (1 - _hit_share(each_token, kept))
    return Reread(each_token - kept + experts_read, by_chance + experts_read, each_token + experts_read)


def _hit_share(pages: int, cache: int) -> float:
    """The smaller solution of h = exp(-n/c (1-h)), by Newton's steps, which come up to it from below."""
    if not cache:
        return 0.0
    share, ratio = 0.0, pages / cache
    while (hit := exp(-ratio * (1 - share))) - share > _SETTLED:
        share += (hit - share) / (1 - ratio * hit)
    return share
