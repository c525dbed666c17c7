"""Which layers see only a window of the context, for files that don't say it layer by layer.

Files give the window's size, and most leave the pattern to the engine. These
are llama.cpp's (b11434, ``load_swa_pattern`` in src/models/*.cpp). Architectures
that are not here keep every token, even where their metadata names a window:
llama.cpp does so for Phi-3 and Mistral.
"""

from dataclasses import dataclass

from fitcheck.sources.gguf_metadata import Metadata


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One layer in ``period`` sees everything: the last of them, or the first."""

    period: int  # 0: none of them does
    full_first: bool = False
    window: int | None = None  # where the file needn't say it
    fixed: bool = False  # the engine's window, whatever the file says
    only_layers: int | None = None  # the variant that has windows, by its layers


_PATTERNS = {
    "afmoe": _Pattern(4),
    "cohere2": _Pattern(4),
    "cohere2moe": _Pattern(4, full_first=True),
    "deepseek4": _Pattern(0),
    "exaone4": _Pattern(4, window=4096, only_layers=64),
    "exaone-moe": _Pattern(4, window=128),
    "gemma2": _Pattern(2, window=4096),
    "gemma3": _Pattern(6),
    "gemma3n": _Pattern(5),
    "gemma-embedding": _Pattern(6),
    "gpt-oss": _Pattern(2),
    "laguna": _Pattern(4, full_first=True),
    "lfm2": _Pattern(0),
    "lfm2moe": _Pattern(0),
    "llama4": _Pattern(4, window=8192, fixed=True),
    "mellum": _Pattern(4),
    "muse-glimmer": _Pattern(4),
    "olmo2": _Pattern(4),
    "plamo3": _Pattern(8),
    "smallthinker": _Pattern(4, full_first=True),
}
_NONE = _Pattern(1)


def windows(metadata: Metadata, layers: int) -> list[int | None]:
    """Each layer's window in tokens, or None where it sees the whole context."""
    pattern = _PATTERNS.get(metadata.architecture, _NONE)
    window = _window(metadata, pattern, layers)
    flags = metadata.flags("attention.sliding_window_pattern", layers)
    if not window:
        return [None] * layers
    if flags is None:
        period = _period(metadata, pattern)
        flags = [_slides(number, period, pattern.full_first) for number in range(layers)]
    return [window if slides else None for slides in flags]


def _window(metadata: Metadata, pattern: _Pattern, layers: int) -> int | None:
    said = metadata.number("attention.sliding_window")
    if pattern.only_layers not in (None, layers) or said == 0:
        return None
    return pattern.window if pattern.fixed or said is None else said


def _period(metadata: Metadata, pattern: _Pattern) -> int:
    said = metadata.number("attention.sliding_window_pattern")
    return pattern.period if said is None or pattern is _NONE else said


def _slides(number: int, period: int, full_first: bool) -> bool:
    return period == 0 or number % period != (0 if full_first else period - 1)
