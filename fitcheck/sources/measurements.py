"""Published runs: ``profiles/measurements``, one CSV file a collection. Only ``accuracy`` reads them."""

import csv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from fitcheck.accuracy.case import Case
from fitcheck.errors import BadInput
from fitcheck.footprint.formats import find_type, tensor_bytes
from fitcheck.footprint.mixes import find_format
from fitcheck.footprint.reads import ReadGroup, read_groups
from fitcheck.schema.accuracy import PublishedRun
from fitcheck.schema.engine import Device
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import FlashAttention
from fitcheck.sources.catalog import load_model
from fitcheck.sources.machines import load_machine
from fitcheck.sources.profiles import profiles_directory

Row = TypeVar("Row")


def load_runs() -> tuple[PublishedRun, ...]:
    """Every published row, the unusable ones with their reason. Raises BadInput for a faulty file."""
    return read_rows("measurements", _run)


def load_case(run: PublishedRun) -> Case:
    """A usable run with the model and the machine it names, as the catalogue knows them."""
    model = model_of(run.model)
    return Case(run, model, machine_of(run.machine), groups_of(model, run.format, run.rest_type))


def read_rows(folder: str, row_of: Callable[[str, dict[str, str]], Row]) -> tuple[Row, ...]:
    """What a folder of ``profiles`` tells, file by file: each row by its file's name and its columns.

    Raises BadInput for a faulty file.
    """
    files = sorted((profiles_directory() / folder).glob("*.csv"))
    return tuple(row for file in files for row in _read(file, folder, row_of))


def _read(path: Path, folder: str, row_of: Callable[[str, dict[str, str]], Row]) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                yield row_of(path.stem, row)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(
                    f"profiles/{folder}/{path.name}, line {number}, is faulty: {error}", "mend the file"
                ) from error


def _run(collection: str, row: dict[str, str]) -> PublishedRun:
    return PublishedRun(
        collection=collection,
        machine=row["machine"],
        device=cast(Device, row["device"]),
        cards=int(row["cards"]),
        model=row["model"],
        format=row["format"],
        rest_type=row["rest_type"] or None,
        engine=row["engine"],
        threads=int(row["threads"]) if row["threads"] else None,
        depth=int(row["depth"]),
        flash_attention=cast(FlashAttention, row["flash_attention"]),
        tokens_per_s=float(row["tokens_per_s"]),
        end_to_end=row["end_to_end"] == "yes",
        excluded=row["excluded"] or None,
        hardware=row["hardware"],
        published_model=row["published_model"],
        published_format=row["published_format"],
        published_engine=row["published_engine"],
        source=row["source"],
    )


model_of = cache(load_model)


@cache
def machine_of(stem: str) -> Machine:
    return load_machine(stem)


@cache
def groups_of(model: Model, format_name: str, rest_type: str | None = None) -> tuple[ReadGroup, ...]:
    """What a token reads; a file may keep embedding and output in another type than the format's rule."""
    groups = read_groups(model, format_name)
    if rest_type is None:
        return groups
    usual, other = find_format(format_name).output, find_type(rest_type)
    return tuple(
        group._replace(type=rest_type, bytes=tensor_bytes(other, group.weights, 1))
        if group.type == usual
        else group
        for group in groups
    )
