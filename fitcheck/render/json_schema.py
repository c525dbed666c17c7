"""The JSON Schemas of everything that --json prints, made from the dataclasses.

``python -m fitcheck.render.json_schema`` writes the files the package ships;
a test fails when they no longer match the dataclasses. pydantic is imported
here and nowhere on the way to an answer.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fitcheck.render.json import (
    ACCURACY,
    BENCH,
    CALIBRATION,
    ERROR,
    EXPLANATION,
    NEEDS,
    PLAN,
    PROBE,
    RANKING,
    VERIFICATION,
)
from fitcheck.schema.accuracy import AccuracyReport
from fitcheck.schema.calibration import CalibrationReport
from fitcheck.schema.explanation import Explanation
from fitcheck.schema.machine import Machine
from fitcheck.schema.measurement import Benchmark, Verification
from fitcheck.schema.plan import Plan
from fitcheck.schema.ranking import Ranking
from fitcheck.schema.requirement import Needs

DIRECTORY = Path(__file__).parent / "schemas"
SHAPES: dict[str, Any] = {
    PLAN: Plan,
    PROBE: Machine,
    BENCH: Benchmark,
    NEEDS: Needs,
    EXPLANATION: Explanation,
    VERIFICATION: Verification,
    ACCURACY: AccuracyReport,
    CALIBRATION: CalibrationReport,
    RANKING: Ranking,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Each schema's name with its JSON Schema (draft 2020-12)."""
    made = {
        name: _with_name(name, TypeAdapter(shape).json_schema(mode="serialization"))
        for name, shape in SHAPES.items()
    }
    made[ERROR] = _with_name(ERROR, _error_schema())
    return made


def path_of(name: str) -> Path:
    """``fitcheck.plan/1`` stands in ``plan-1.json``."""
    return DIRECTORY / f"{name.removeprefix('fitcheck.').replace('/', '-')}.json"


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _with_name(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    """The object's own fields, all of them required, with the schema's name first."""
    properties = {"schema": {"const": name}, **shape["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **shape,
        "title": name,
        "properties": properties,
        "required": list(properties),
    }


def _error_schema() -> dict[str, Any]:
    fields = {"error": "string", "remedy": "string", "exit_code": "integer"}
    return {"type": "object", "properties": {field: {"type": kind} for field, kind in fields.items()}}


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        path_of(name).write_text(text_of(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
