"""Published prompts beside the prefill speeds that profiles give for them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from statistics import median

from fitcheck.accuracy.case import Known
from fitcheck.accuracy.spread import p90
from fitcheck.placement import spread_over
from fitcheck.schema.accuracy import PromptScore, PublishedPrompt
from fitcheck.schema.engine import Engine
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Runner
from fitcheck.speed.pipeline import Pipeline, Stage
from fitcheck.speed.prefill import Prefiller, Prompts


@dataclass(frozen=True, slots=True)
class PromptCase(Known[PublishedPrompt]):
    """The speed at which a prompt was taken in."""

    def expected(self, engine: Engine) -> float | None:
        """Tokens a second, from an empty cache; None where no speed is said."""
        prompts = self._on_cards(engine)
        seconds = prompts.seconds(self.run.tokens) if prompts else None
        return self.run.tokens / seconds if seconds else None

    def _on_cards(self, engine: Engine) -> Prompts | None:
        run = self.run
        request = Request(threads=run.threads, flash_attention=run.flash_attention)
        one = Prefiller(Runner(self.model, self.machine, engine, request), self.groups)
        if run.cards == 1:
            return one
        queued = engine.prefill.queued_layers if engine.prefill else None
        if queued is None:
            return None
        layers, shares = len(self.model.layers) + 1, tuple(accumulate(repeat(1, run.cards)))
        within = spread_over(shares, layers, layers, 0).within
        return Pipeline(tuple(Stage(one, count) for count in within if count), queued)


def prompt_scores(cases: Sequence[PromptCase], engines: Sequence[Engine]) -> Iterator[PromptScore]:
    """Prompts that set no figure and those that did, by engine, device and whether cards share the layers."""
    known = {(engine.name, engine.device): engine for engine in engines}
    groups: dict[str, list[PromptCase]] = defaultdict(list)
    for case in cases:
        if (case.run.engine, case.run.device) in known:
            groups[_class(case.run)].append(case)
    for name, group in sorted(groups.items()):
        yield _score(name, [(case, case.expected(known[case.run.engine, case.run.device])) for case in group])


def _class(run: PublishedPrompt) -> str:
    cards = f", {run.cards} cards" if run.cards > 1 else ""
    fitted = ": a figure was set from them" if run.fitted else ""
    return f"{run.engine}, {run.device.upper()}{cards}{fitted}"


def _score(name: str, group: Sequence[tuple[PromptCase, float | None]]) -> PromptScore:
    known = [(case, expected) for case, expected in group if expected is not None]
    errors = sorted(abs(expected / case.run.tokens_per_s - 1) for case, expected in known)
    return PromptScore(
        name=name,
        runs=len(errors),
        machines=len({case.run.machine for case, _ in known}),
        median=median(errors) if errors else 0.0,
        p90=p90(errors) if errors else 0.0,
        unknown=len(group) - len(known),
    )
