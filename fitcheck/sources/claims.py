"""Claims of articles: ``profiles/claims``, one article a file."""

from typing import get_args

from fitcheck.errors import BadInput
from fitcheck.schema.claim import Claim, ClaimedFigure
from fitcheck.sources.profiles import Table, profile_path, read_toml, stems
from fitcheck.units import parse_capacity


def load_claims() -> tuple[Claim, ...]:
    """Every claim of every article. Raises BadInput, naming the file, where one is faulty."""
    return tuple(claim for stem in stems("claims") for claim in _article(stem))


def _article(stem: str) -> list[Claim]:
    table = read_toml(profile_path("claims", stem))
    try:
        return [_claim(table["title"], row) for row in table["claim"]]
    except (LookupError, TypeError, ValueError) as error:
        raise BadInput(f"profiles/claims/{stem}.toml is faulty: {error}", "mend the file") from error


def _claim(title: str, row: Table) -> Claim:
    if row["figure"] not in get_args(ClaimedFigure):
        raise ValueError(f"no figure is called {row['figure']!r}")
    low, high = row["says"]
    return Claim(
        article=title,
        quote=row["quote"],
        model=row["model"],
        formats=tuple(row["formats"]),
        figure=row["figure"],
        says=(float(low), float(high)),
        machine=row.get("machine"),
        ram_bytes=parse_capacity(row["ram"]) if "ram" in row else None,
        why=row.get("why"),
    )
