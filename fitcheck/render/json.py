"""JSON as the schema's own serialisation: one object, its schema named first."""

import json
from dataclasses import asdict
from typing import Any

from fitcheck.errors import FitcheckError
from fitcheck.schema.accuracy import AccuracyReport
from fitcheck.schema.calibration import CalibrationReport
from fitcheck.schema.explanation import Explanation
from fitcheck.schema.machine import Machine
from fitcheck.schema.measurement import Benchmark, Verification
from fitcheck.schema.plan import Plan
from fitcheck.schema.ranking import Ranking
from fitcheck.schema.requirement import Needs

PLAN, PROBE, BENCH = "fitcheck.plan/1", "fitcheck.probe/1", "fitcheck.bench/1"
VERIFICATION, NEEDS = "fitcheck.verification/1", "fitcheck.needs/1"
EXPLANATION, ERROR = "fitcheck.explanation/1", "fitcheck.error/1"
ACCURACY = "fitcheck.accuracy/1"
CALIBRATION = "fitcheck.calibration/1"
RANKING = "fitcheck.ranking/1"


def plan_json(plan: Plan) -> str:
    return _object(PLAN, asdict(plan))


def probe_json(machine: Machine) -> str:
    return _object(PROBE, asdict(machine))


def bench_json(benchmark: Benchmark) -> str:
    return _object(BENCH, asdict(benchmark))


def verification_json(verification: Verification) -> str:
    return _object(VERIFICATION, asdict(verification))


def needs_json(needs: Needs) -> str:
    return _object(NEEDS, asdict(needs))


def explanation_json(explanation: Explanation) -> str:
    return _object(EXPLANATION, asdict(explanation))


def accuracy_json(report: AccuracyReport) -> str:
    return _object(ACCURACY, asdict(report))


def calibration_json(report: CalibrationReport) -> str:
    return _object(CALIBRATION, asdict(report))


def ranking_json(ranking: Ranking) -> str:
    return _object(RANKING, asdict(ranking))


def error_json(error: FitcheckError) -> str:
    return _object(ERROR, {"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})


def _object(schema: str, fields: dict[str, Any]) -> str:
    return json.dumps({"schema": schema, **fields}, ensure_ascii=False, allow_nan=False)
