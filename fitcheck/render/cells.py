"""Figures as a cell of a table or a part of a line says them."""

from fitcheck.schema.plan import FormatPlan, MachineSummary, TokenRate
from fitcheck.units import gb_per_s, gib, rate, tokens

UNKNOWN = "–"


def billions(count: int) -> str:
    """Parameters: 70.6B, 494M."""
    return f"{count / 1e9:.1f}B" if count >= 0.9995e9 else f"{count / 1e6:.0f}M"


def speed_text(speed: TokenRate | None) -> str:
    """Expected, then the interval."""
    return f"{rate(speed.expected)} ({rate(speed.low)}-{rate(speed.high)})" if speed else UNKNOWN


def fits_text(row: FormatPlan) -> str:
    """``yes?``: the bytes fit, and no engine is known that runs them here."""
    return fits_word(row.fits, run=row.placement is not None)


def fits_word(fits: str, *, run: bool) -> str:
    return fits if run or fits == "no" else f"{fits}?"


def only_bytes_fit(row: FormatPlan) -> bool:
    return row.fits != "no" and row.placement is None


def longest(context: int) -> str:
    """The longest context; a dash where there is room for none."""
    return tokens(context) if context else UNKNOWN


def memory_line(machine: MachineSummary) -> str:
    """What a model may have of the memory, and how fast it is read."""
    memory = gib(machine.usable_bytes + machine.reserve_bytes)
    reads = gb_per_s(machine.bandwidth_bytes_per_s) if machine.bandwidth_bytes_per_s else "an unknown rate"
    return (
        f"{memory}, of which {gib(machine.reserve_bytes)} stay with the system; "
        f"reads {reads} ({machine.bandwidth_basis})"
    )
