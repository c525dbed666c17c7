"""Published prompts: ``profiles/measurements/prompts``, one CSV file a collection. For ``accuracy`` alone."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from fitcheck.accuracy.prompts import PromptCase
from fitcheck.errors import BadInput
from fitcheck.footprint.reads import read_groups
from fitcheck.schema.accuracy import PublishedPrompt
from fitcheck.schema.engine import Device
from fitcheck.schema.request import FlashAttention
from fitcheck.sources.catalog import load_model
from fitcheck.sources.machines import load_machine
from fitcheck.sources.profiles import profiles_directory


def load_prompts() -> tuple[PublishedPrompt, ...]:
    """Every row, the unusable ones with their reason. Raises BadInput for a faulty file."""
    files = sorted((profiles_directory() / "measurements" / "prompts").glob("*.csv"))
    return tuple(run for file in files for run in _read(file))


def prompt_case(run: PublishedPrompt) -> PromptCase:
    """A usable row with the model and the machine it names, as the catalogue knows them."""
    model = load_model(run.model)
    return PromptCase(run, model, load_machine(run.machine), read_groups(model, run.format))


def _read(path: Path) -> Iterator[PublishedPrompt]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                yield _run(path.stem, row)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(
                    f"profiles/measurements/prompts/{path.name}, line {number}, is faulty: {error}",
                    "mend the file",
                ) from error


def _run(collection: str, row: dict[str, str]) -> PublishedPrompt:
    return PublishedPrompt(
        collection=collection,
        machine=row["machine"],
        device=cast(Device, row["device"]),
        cards=int(row["cards"]),
        model=row["model"],
        format=row["format"],
        engine=row["engine"],
        threads=int(row["threads"]) if row["threads"] else None,
        tokens=int(row["tokens"]),
        flash_attention=cast(FlashAttention, row["flash_attention"]),
        tokens_per_s=float(row["tokens_per_s"]),
        fitted=row["fitted"] == "yes",
        excluded=row["excluded"] or None,
        hardware=row["hardware"],
        published_model=row["published_model"],
        published_format=row["published_format"],
        published_engine=row["published_engine"],
        notes=row["notes"],
        source=row["source"],
    )
