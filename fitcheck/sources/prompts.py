"""Published prompts: ``profiles/measurements/prompts``, one CSV file a collection. For ``accuracy`` alone."""

from fitcheck.accuracy.prompts import PromptCase
from fitcheck.schema.accuracy import PublishedPrompt
from fitcheck.sources.csv_rows import Columns, read_rows
from fitcheck.sources.measurements import groups_of, machine_of, model_of, published


def load_prompts() -> tuple[PublishedPrompt, ...]:
    """Every row, the unusable ones with their reason. Raises BadInput for a faulty file."""
    return read_rows("measurements/prompts", _run)


def prompt_case(run: PublishedPrompt) -> PromptCase:
    """A usable row with the model and the machine it names, as the catalogue knows them."""
    model = model_of(run.model)
    return PromptCase(run, model, machine_of(run.machine), groups_of(model, run.format))


def _run(collection: str, row: Columns) -> PublishedPrompt:
    return PublishedPrompt(
        **published(collection, row),
        tokens=int(row["tokens"]),
        fitted=row["fitted"] == "yes",
        notes=row["notes"],
    )
