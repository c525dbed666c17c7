"""A Requirement: what a machine must have for a model at a wished speed."""

from dataclasses import dataclass

from fitcheck.schema.plan import FormatPlan


@dataclass(frozen=True)
class Requirement:
    """The least that would do for one format, on a CPU and its RAM."""

    format: str
    engine: str
    total_bytes: int  # what the model takes
    ram_bytes: int  # with the system's reserve on top
    bandwidth_bytes_per_s: float | None  # reads achieved; None: no bandwidth is enough
    weights_per_s: float  # what all cores together must multiply
    needs_native_training: bool


@dataclass(frozen=True)
class Candidate:
    """A machine of the catalogue that does it, with the plan for the format."""

    machine: str
    plan: FormatPlan


@dataclass(frozen=True)
class Needs:
    model: str
    context: int
    depth: int
    wished_tokens_per_s: float
    requirements: tuple[Requirement, ...]
    candidates: tuple[Candidate, ...]
