"""The CSV files of ``profiles``, row by row: a faulty one is named with its file and line."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from fitcheck.errors import BadInput
from fitcheck.sources.profiles import profiles_directory

Row = TypeVar("Row")
Columns = dict[str, str]


def read_rows(folder: str, row_of: Callable[[str, Columns], Row]) -> tuple[Row, ...]:
    """What a folder of ``profiles`` tells, file by file: each row by its file's stem and its columns.

    Raises BadInput for a file that can't be read, and for a row that ``row_of`` refuses.
    """
    files = sorted((profiles_directory() / folder).glob("*.csv"))
    return tuple(row for file in files for row in _read(file, folder, row_of))


def _read(path: Path, folder: str, row_of: Callable[[str, Columns], Row]) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            for row in rows:
                yield row_of(path.stem, _whole(row))
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            why = f"it has no column {error}" if isinstance(error, KeyError) else error
            line = f"profiles/{folder}/{path.name}, line {rows.line_num}"
            raise BadInput(f"{line}, is faulty: {why}", "mend the file") from error


def _whole(row: Columns) -> Columns:
    """The row, if it has as many columns as the head; ``csv`` keeps what is over or missing under None."""
    if None in row or None in row.values():
        raise ValueError("it has more or fewer columns than the head")
    return row
