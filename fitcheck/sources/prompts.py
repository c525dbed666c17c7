"""Published prompts: ``profiles/measurements/prompts``, one CSV file a collection. For ``accuracy`` alone."""

from typing import cast

from fitcheck.accuracy.prompts import PromptCase
from fitcheck.schema.accuracy import PublishedPrompt
from fitcheck.schema.engine import Device
from fitcheck.schema.request import FlashAttention
from fitcheck.sources.measurements import groups_of, machine_of, model_of, read_rows


def load_prompts() -> tuple[PublishedPrompt, ...]:
    """Every row, the unusable ones with their reason. Raises BadInput for a faulty file."""
    return read_rows("measurements/prompts", _run)


def prompt_case(run: PublishedPrompt) -> PromptCase:
    """A usable row with the model and the machine it names, as the catalogue knows them."""
    model = model_of(run.model)
    return PromptCase(run, model, machine_of(run.machine), groups_of(model, run.format))


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
