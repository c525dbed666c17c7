"""What calibration keeps: one JSON file a machine, in the user's data directory.

It holds the runs, batch by batch as they were given, so that the last batch can
be taken back and everything learned again; and what was learned, so that a plan
need not. A file that can't be read as ours is moved aside, never overwritten.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from fitcheck.errors import BadInput
from fitcheck.schema.calibration import Learned, Run
from fitcheck.schema.machine import Machine
from fitcheck.sources.calibration_path import machine_key, path_of
from fitcheck.sources.json_fields import NotJson, parse_json
from fitcheck.sources.plain_data import decode, encode

SCHEMA = "fitcheck.calibrations/1"

_LONGEST = 16 << 20  # bytes; a run takes about one thousand
_MOST_FACTOR = 10.0

Batch = tuple[Run, ...]


@dataclass(frozen=True)
class Kept:
    """All that is kept of one machine."""

    machine: str
    batches: tuple[Batch, ...] = ()
    learned: tuple[Learned, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for batch in self.batches for run in batch)


def load_calibration(machine: Machine, directory: Path | None = None) -> tuple[Kept, str | None]:
    """What is kept of the machine, and a notice where its file was broken and moved aside."""
    path = path_of(machine_key(machine), directory)
    try:
        with path.open("rb") as file:
            return _kept(file.read(_LONGEST), machine_key(machine)), None
    except OSError:
        return Kept(machine_key(machine)), None
    except ValueError:
        return Kept(machine_key(machine)), _move_aside(path)


def save_calibration(kept: Kept, directory: Path | None = None) -> None:
    """Put the file in place in one step. Raises BadInput where it can't be written."""
    path = path_of(kept.machine, directory)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    table = {
        "schema": SCHEMA,
        "machine": kept.machine,
        "learned": encode(kept.learned),
        "batches": [encode(batch) for batch in kept.batches],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(table, indent=1, allow_nan=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        said = f"the calibration can't be kept in {path.parent}: {error.strerror}"
        raise BadInput(said, "make that directory writable, or set XDG_DATA_HOME") from error


def _kept(data: bytes, key: str) -> Kept:
    """Raises ValueError for what is not ours."""
    try:
        table = parse_json(data)
    except NotJson as error:
        raise ValueError(str(error)) from error
    if not isinstance(table, dict) or table.get("schema") != SCHEMA or table.get("machine") != key:
        raise ValueError("another schema, or another machine")
    batches, learned = table.get("batches"), table.get("learned")
    if not isinstance(batches, list):
        raise ValueError("no batches")
    found = Kept(key, tuple(decode(Batch, batch) for batch in batches), decode(tuple[Learned, ...], learned))
    _check(found)
    return found


def _check(kept: Kept) -> None:
    """Numbers that no run and no fit gives."""
    for run in kept.runs:
        core = run.core.weights_per_s if run.core else 1.0
        if min(run.tokens_per_s, run.bandwidth_bytes_per_s or 1.0, core) <= 0 or run.prompt < 0:
            raise ValueError("a run without a speed")
    for row in kept.learned:
        factors = (row.factors.bandwidth, row.factors.arithmetic, row.factors.overhead, row.factors.prefill)
        if not all(1 / _MOST_FACTOR <= factor <= _MOST_FACTOR for factor in factors) or not (
            0 < row.low <= 1 <= row.high
        ):
            raise ValueError("factors that no run gives")


def _move_aside(path: Path) -> str:
    aside = path.with_suffix(".broken.json")
    try:
        path.replace(aside)
    except OSError as error:
        return f"the calibration of this machine can't be read or moved: {error.strerror}"
    return f"the calibration of this machine was unreadable: moved to {aside}"
