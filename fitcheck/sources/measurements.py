"""Published runs: ``profiles/measurements``, one CSV file a collection. Only ``accuracy`` reads them."""

from functools import cache
from typing import Any

from fitcheck.accuracy.case import Case
from fitcheck.footprint.formats import find_type, tensor_bytes
from fitcheck.footprint.mixes import find_format
from fitcheck.footprint.reads import ReadGroup, read_groups
from fitcheck.schema.accuracy import PublishedRun
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.sources.catalog import load_model
from fitcheck.sources.csv_rows import Columns, read_rows
from fitcheck.sources.machines import load_machine


def load_runs() -> tuple[PublishedRun, ...]:
    """Every published row, the unusable ones with their reason. Raises BadInput for a faulty file."""
    return read_rows("measurements", _run)


def load_case(run: PublishedRun) -> Case:
    """A usable run with the model and the machine it names, as the catalogue knows them."""
    model = model_of(run.model)
    return Case(run, model, machine_of(run.machine), groups_of(model, run.format, run.rest_type))


def published(collection: str, row: Columns) -> dict[str, Any]:
    """The fields of a ``Published`` row, as the columns of that name give them."""
    return {
        "collection": collection,
        "machine": row["machine"],
        "device": row["device"],
        "cards": int(row["cards"]),
        "model": row["model"],
        "format": row["format"],
        "engine": row["engine"],
        "threads": int(row["threads"]) if row["threads"] else None,
        "flash_attention": row["flash_attention"],
        "tokens_per_s": float(row["tokens_per_s"]),
        "excluded": row["excluded"] or None,
        "hardware": row["hardware"],
        "published_model": row["published_model"],
        "published_format": row["published_format"],
        "published_engine": row["published_engine"],
        "source": row["source"],
    }


def _run(collection: str, row: Columns) -> PublishedRun:
    return PublishedRun(
        **published(collection, row),
        rest_type=row["rest_type"] or None,
        depth=int(row["depth"]),
        end_to_end=row["end_to_end"] == "yes",
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
