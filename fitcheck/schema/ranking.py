"""A Ranking: many models on one machine, each with the format to take."""

from dataclasses import dataclass

from fitcheck.schema.plan import FormatPlan, MachineSummary, ModelSummary
from fitcheck.schema.request import Request


@dataclass(frozen=True)
class RankedModel:
    """A model with the planner's choice among its formats, or the smallest where none fits."""

    model: ModelSummary
    plan: FormatPlan

    @property
    def fits(self) -> bool:
        return self.plan.fits != "no"


@dataclass(frozen=True)
class UnplannedModel:
    """A model that this question can't be asked of, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Ranking:
    """Models in order. What was left out is counted, never dropped in silence."""

    machine: MachineSummary
    request: Request  # as it was asked; a model that knows a shorter context is planned with its own
    sort: str
    order: str  # the same in words
    models: tuple[RankedModel, ...]
    fitting: int  # of all that were planned, those that fit
    not_fitting: int
    too_slow: int  # fit, but below the speed that was asked for
    unplanned: tuple[UnplannedModel, ...]
