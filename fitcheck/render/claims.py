"""Claims beside what was found, article by article."""

from collections.abc import Sequence
from itertools import groupby
from shutil import get_terminal_size
from textwrap import fill
from typing import TextIO

from fitcheck.schema.claim import ClaimedFigure, Finding
from fitcheck.units import gib

_SAYS: dict[ClaimedFigure, str] = {
    "file_gb": "has {} GB in the file",
    "total_gb": "takes {} GB in all",
    "least_ram_gib": "asks for {} GiB of RAM",
    "bits_per_weight": "has {} bits per weight",
    "times_smaller": "is {} times smaller than F16",
    "tokens_per_s": "decodes about {} tokens/s",
}
_WIDEST = 100  # longer lines are hard to read


def print_claims(findings: Sequence[Finding], file: TextIO) -> None:
    """One paragraph a claim: the words, then the figure, the judgement and the reason."""
    width = min(get_terminal_size().columns, _WIDEST)
    for article, group in groupby(findings, key=lambda finding: finding.claim.article):
        file.write(f"{article}\n")
        for finding in group:
            file.write(_indented(f"“{finding.claim.quote}”", 2, width))
            file.write(_indented(_sentence(finding), 4, width))
        file.write("\n")
    wrong = sum(finding.judgement != "holds" for finding in findings)
    file.write(f"{len(findings) - wrong} of {len(findings)} claims hold within a twentieth.\n")


def _indented(text: str, by: int, width: int) -> str:
    return fill(text, width, initial_indent=" " * by, subsequent_indent=" " * by) + "\n"


def _sentence(finding: Finding) -> str:
    claim = finding.claim
    what = f"{claim.model} in {_either(claim.formats)}{_where(finding)}"
    found = _outcome(finding)
    return f"{finding.judgement}: {what} {found}" + (f"; {claim.why}" if claim.why else "")


def _either(formats: Sequence[str]) -> str:
    *others, last = formats
    return f"{', '.join(others)} or {last}" if others else last


def _where(finding: Finding) -> str:
    claim = finding.claim
    memory = f" with {gib(claim.ram_bytes, 0)}" if claim.ram_bytes else ""
    return f" on {claim.machine}{memory}" if claim.machine else ""


def _outcome(finding: Finding) -> str:
    low, high = f"{finding.low:.3g}", f"{finding.high:.3g}"
    return _SAYS[finding.claim.figure].format(low if low == high else f"{low} to {high}")
