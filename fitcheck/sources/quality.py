"""Published perplexities: ``profiles/quality`` made into the table the planner looks in.

``python -m fitcheck.sources.quality`` writes ``footprint/quality_table.py``;
a test fails when it no longer matches the profile. A plan reads no file.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fitcheck.errors import BadInput
from fitcheck.footprint.mixes import FORMATS
from fitcheck.sources.profiles import profiles_directory

TABLE = Path(__file__).parents[1] / "footprint" / "quality_table.py"

_HEAD = '''"""What formats cost in perplexity, made by ``python -m fitcheck.sources.quality``.

Percent above the same weights in 16 bits, on WikiText-2, by the model it was
measured on and by format. The sources stand in the profile.
"""

PERPLEXITY: dict[str, dict[str, float]] = {
'''


def table_text() -> str:
    """The module's text: of each model and format one figure, one without importance matrix first."""
    chosen: dict[str, dict[str, float]] = {}
    for row in sorted(_usable(_rows()), key=_preference):
        chosen.setdefault(row["model"], {}).setdefault(row["format"], float(row["delta_percent"]))
    body = "".join(
        f'    "{model}": {{\n'
        + "".join(f'        "{name}": {delta:g},\n' for name, delta in sorted(costs.items()))
        + "    },\n"
        for model, costs in sorted(chosen.items())
    )
    return f"{_HEAD}{body}}}\n"


def _rows() -> list[dict[str, str]]:
    path = profiles_directory() / "quality" / "perplexity.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _usable(rows: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Rows that compare a format with 16 bits. Raises BadInput for a format nobody knows."""
    for row in rows:
        if row["excluded"]:
            continue
        if row["format"] not in FORMATS:
            raise BadInput(f"perplexity.csv: no format is called {row['format']!r}", "mend the file")
        yield row


def _preference(row: dict[str, str]) -> tuple[bool, int]:
    """Files are planned as made without a matrix; among those with one, the most text comes first."""
    matrix = row["importance_matrix"]
    text = matrix.removeprefix("WT ").rstrip("mk")
    size = int(text) * (1000 if matrix.endswith("m") else 1) if text.isdigit() else 0
    return matrix != "no", -size


def main() -> None:
    TABLE.write_text(table_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
