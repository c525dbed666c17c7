"""Parse and print quantities. The only module that converts units.

Inside fitcheck every capacity is an integer number of bytes and every rate
an SI float. Memory is typed and printed in GiB (it is sold so), file sizes
in GB, bandwidth in GB/s.
"""

import re

from fitcheck.errors import BadInput

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
GB = 10**9

_CAPACITY = {"": GIB, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_RATE = {"": 1e9, "M": 1e6, "G": 1e9, "T": 1e12}
_COUNT = {"": 1, "K": 1 << 10, "M": 1 << 20}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z/]*)", re.IGNORECASE)


def parse_capacity(text: str) -> int:
    """Bytes of a RAM or VRAM size; `16`, `16G`, `16GB` and `16GiB` all mean 16 GiB.

    Raises BadInput for text that is no size, or a size of nothing.
    """
    number, suffix = _split(text, "a memory size", "write it as 16G, 512M or 1.5T")
    unit = re.fullmatch(r"([KMGT]?)(?:I?B)?", suffix)
    if unit is None:
        raise _bad(text, "a memory size", "write it as 16G, 512M or 1.5T")
    size = int(number * _CAPACITY[unit[1]])
    if size == 0:
        raise _bad(text, "a memory size", "it must be more than nothing")
    return size


def parse_bandwidth(text: str) -> float:
    """Bytes per second of a bandwidth; a bare number means GB/s (10**9)."""
    number, suffix = _split(text, "a bandwidth", "write it in GB/s, as 60 or 60GB/s")
    unit = re.fullmatch(r"([MGT]?)(?:B(?:/S|PS)?)?", suffix)
    if unit is None or number == 0:
        raise _bad(text, "a bandwidth", "write it in GB/s, as 60 or 60GB/s")
    return number * _RATE[unit[1]]


def parse_tokens(text: str) -> int:
    """A count of tokens; `8k` means 8192, as context lengths are powers of two."""
    number, suffix = _split(text, "a number of tokens", "write it as 4096 or 8k")
    if suffix not in _COUNT or number * _COUNT[suffix] < 1 or number * _COUNT[suffix] % 1:
        raise _bad(text, "a number of tokens", "write it as 4096 or 8k")
    return int(number * _COUNT[suffix])


def gib(size: int | float, digits: int = 1) -> str:
    """A memory capacity for people: `15.9 GiB`."""
    if 0 < size < 0.5 * GIB / 10**digits:  # it would print as nothing
        return f"{size / MIB:.3g} MiB"
    return f"{size / GIB:.{digits}f} GiB"


def gb(size: int | float, digits: int = 2) -> str:
    """A file size for people: `42.51 GB`."""
    return f"{size / GB:.{digits}f} GB"


def spaced(number: int) -> str:
    """``4920738944`` -> ``4 920 738 944``."""
    return f"{number:,}".replace(",", " ")


def counted(number: int | str, thing: str) -> str:
    """``1 thread``, ``2 threads``; what stands for an unknown number is like many."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def gb_per_s(rate: float) -> str:
    """A bandwidth for people: `51.2 GB/s`."""
    return f"{rate / GB:.1f} GB/s"


def tokens(count: int) -> str:
    """A context length for people: `131072` as `128k`, `25088` as `24.5k`, `4000` as `4000`."""
    if count < KIB or count % 256:
        return str(count)
    return f"{count / KIB:.4g}k" if count < 1000 * KIB else f"{count / KIB:.0f}k"


def rate(value: float) -> str:
    """Tokens per second with two significant figures, never in powers of ten."""
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A wait for people: `0.42 s`, `38 s`, `22 min`, `3.1 h`."""
    if seconds < 120:
        return f"{rate(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{rate(seconds / 3600)} h"


def _split(text: str, what: str, remedy: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text.strip())
    # Sixteen characters hold any real size; more is a typing error or an attack.
    if match is None or len(match[1]) > 16:
        raise _bad(text, what, remedy)
    return float(match[1]), match[2].upper()


def _bad(text: str, what: str, remedy: str) -> BadInput:
    return BadInput(f"{text[:40]!r} is not {what}", remedy)
