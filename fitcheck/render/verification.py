"""A verification, for people: predicted, measured, and how far apart."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.schema.engine import OWN_ENGINE
from fitcheck.schema.measurement import CoreTiming, PrefillCheck, Verification
from fitcheck.units import counted, gb, gb_per_s, gib, rate, tokens


def print_verification(result: Verification, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(
        f"{result.model} in {result.format}, {_layers(result)}, {counted(result.threads, 'thread')}, "
        f"{result.isa}, {tokens(result.depth)} of {tokens(result.context)} cells filled"
    )
    if result.engine != OWN_ENGINE:
        console.print(f"run by {result.engine} {result.engine_build or '(build unknown)'}, {result.runner}")
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right", style="bold")
    for label, text in _figures(result):
        grid.add_row(label, text)
    console.print(grid)
    if result.unstable_why:
        console.print(Text(f"unstable: {result.unstable_why}", style="dim"))
    for note in result.notes:
        console.print(Text(note, style="dim"))


def _layers(result: Verification) -> str:
    if result.layers_run == result.layers_total:
        return f"all {result.layers_total} layers"
    return f"{result.layers_run} of {result.layers_total} layers (time scaled up to all)"


def _figures(result: Verification) -> tuple[tuple[str, str], ...]:
    return (
        ("predicted", f"{rate(result.predicted_tokens_per_s)} tokens/s"),
        ("measured", f"{rate(result.measured_tokens_per_s)} tokens/s"),
        ("error of the prediction", f"{result.error:+.1%}"),
        ("read by each token", gb(result.bytes_per_token)),
        ("plain reads between the layers", gb_per_s(result.read_bandwidth_bytes_per_s)),
        ("share of them reached", f"{result.share_of_read_bandwidth:.0%}"),
        *_core(result.core, result.engine),
        ("resident", gib(result.resident_bytes)),
        ("energy", _energy(result)),
        ("rounds", str(len(result.raw))),
        *_prefill(result.prefill),
    )


def _core(timing: CoreTiming | None, engine: str) -> tuple[tuple[str, str], ...]:
    if timing is None:
        return ()
    rate_now = f"{timing.weights_per_s / 1e9:.0f} × 10⁹ weights/s"
    return (
        ("a core between the rounds", f"{timing.speed:.2f} of the one in {engine}'s profile"),
        ("timed by", f"{timing.format} {timing.isa}, {rate_now}"),
    )


def _prefill(check: PrefillCheck | None) -> tuple[tuple[str, str], ...]:
    if check is None:
        return ()
    guess = check.predicted_tokens_per_s
    return (
        (f"prefill of {tokens(check.tokens)}, predicted", f"{rate(guess)} tokens/s" if guess else "unknown"),
        (f"prefill of {tokens(check.tokens)}, measured", f"{rate(check.measured_tokens_per_s)} tokens/s"),
        *([("error of the prefill", f"{check.error:+.1%}")] if check.error is not None else []),
    )


def _energy(result: Verification) -> str:
    if result.energy_joules_per_token is None:
        return f"unknown: {result.energy_source}"
    return f"{result.energy_joules_per_token:.1f} J a token ({result.energy_source})"
