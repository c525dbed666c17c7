"""Published perplexities: ``profiles/quality`` made into the table the planner looks in.

``python -m fitcheck.sources.quality`` writes ``footprint/quality_table.py``;
a test fails when it no longer matches the profile. A plan reads no file.
"""

from pathlib import Path
from typing import NamedTuple

from fitcheck.footprint.mixes import FORMATS
from fitcheck.sources.csv_rows import Columns, read_rows

TABLE = Path(__file__).parents[1] / "footprint" / "quality_table.py"

_HEAD = '''"""What formats cost in perplexity, made by ``python -m fitcheck.sources.quality``.

Percent above the same weights in 16 bits, on WikiText-2, by the model it was
measured on and by format. The sources stand in the profile.
"""

PERPLEXITY: dict[str, dict[str, float]] = {
'''


class _Cost(NamedTuple):
    """A row of the profile: percent of perplexity that a format costs a model."""

    model: str
    format: str
    matrix: str  # "no", or the text its importance matrix was made of
    percent: float | None  # None: left out for a reason


def table_text() -> str:
    """The module's text: of each model and format one figure, one without importance matrix first."""
    chosen: dict[str, dict[str, float]] = {}
    for row in sorted(read_rows("quality", _cost), key=_preference):
        if row.percent is not None:
            chosen.setdefault(row.model, {}).setdefault(row.format, row.percent)
    body = "".join(
        f'    "{model}": {{\n'
        + "".join(f'        "{name}": {delta:g},\n' for name, delta in sorted(costs.items()))
        + "    },\n"
        for model, costs in sorted(chosen.items())
    )
    return f"{_HEAD}{body}}}\n"


def _cost(_: str, row: Columns) -> _Cost:
    """Raises ValueError for a format nobody knows."""
    if not row["excluded"] and row["format"] not in FORMATS:
        raise ValueError(f"no format is called {row['format']!r}")
    percent = None if row["excluded"] else float(row["delta_percent"])
    return _Cost(row["model"], row["format"], row["importance_matrix"], percent)


def _preference(row: _Cost) -> tuple[bool, int]:
    """Files are planned as made without a matrix; among those with one, the most text comes first."""
    text = row.matrix.removeprefix("WT ").rstrip("mk")
    size = int(text) * (1000 if row.matrix.endswith("m") else 1) if text.isdigit() else 0
    return row.matrix != "no", -size


def main() -> None:
    TABLE.write_text(table_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
