"""A faulty row of any collection is named by its file and line, never dropped, never half read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fitcheck.errors import BadInput
from fitcheck.sources import csv_rows
from fitcheck.sources.measurements import load_runs
from fitcheck.sources.own_runs import load_own_runs
from fitcheck.sources.prompts import load_prompts
from fitcheck.sources.quality import table_text

READERS: dict[str, Callable[[], object]] = {
    "measurements": load_runs,
    "measurements/own": load_own_runs,
    "measurements/prompts": load_prompts,
    "quality": table_text,
}
PROFILES = Path(__file__).parents[3] / "profiles"


@pytest.fixture(params=READERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A collection of profiles that has one file: head and first rows of a real one."""
    name: str = request.param
    real = sorted((PROFILES / name).glob("*.csv"))[0]
    (tmp_path / name).mkdir(parents=True)
    copied = "".join(real.read_text(encoding="utf-8").splitlines(keepends=True)[:3])
    (tmp_path / name / "new.csv").write_text(copied, encoding="utf-8")
    monkeypatch.setattr(csv_rows, "profiles_directory", lambda: tmp_path)
    return name


def spoil(tmp_path: Path, folder: str, change: Callable[[list[str]], list[str]]) -> None:
    file = tmp_path / folder / "new.csv"
    file.write_text("\n".join(change(file.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


def refused(folder: str) -> str:
    with pytest.raises(BadInput) as caught:
        READERS[folder]()
    assert caught.value.remedy == "mend the file"
    return caught.value.message


def test_the_copied_rows_are_read(folder: str) -> None:
    assert READERS[folder]()


def test_a_row_cut_short_is_named(folder: str, tmp_path: Path) -> None:
    spoil(tmp_path, folder, lambda lines: [*lines[:2], lines[2].rpartition(",")[0]])
    assert refused(folder).startswith(f"profiles/{folder}/new.csv, line 3, is faulty: it has more or fewer")


def test_a_row_with_a_comma_too_many_is_named(folder: str, tmp_path: Path) -> None:
    spoil(tmp_path, folder, lambda lines: [*lines[:2], lines[2] + ",more"])
    assert "line 3, is faulty: it has more or fewer columns than the head" in refused(folder)


def test_a_column_that_is_missing_is_named(folder: str, tmp_path: Path) -> None:
    spoil(tmp_path, folder, lambda lines: [lines[0].replace("model,", "shape,", 1), *lines[1:]])
    assert "it has no column 'model'" in refused(folder)


def test_a_value_that_is_no_number_is_named(folder: str, tmp_path: Path) -> None:
    """The speed's column; of perplexities the format's, which is checked there."""
    column = "format" if folder == "quality" else "tokens_per_s"

    def change(lines: list[str]) -> list[str]:
        cells, place = lines[1].split(","), lines[0].split(",").index(column)
        return [lines[0], ",".join([*cells[:place], "many", *cells[place + 1 :]]), lines[2]]

    spoil(tmp_path, folder, change)
    assert "line 2, is faulty" in refused(folder) and "'many'" in refused(folder)
