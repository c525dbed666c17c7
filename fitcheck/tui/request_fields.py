"""The fields of the question: what is asked of the engine, whatever the machine."""

from fitcheck.footprint.kv_cache import KV_TYPES
from fitcheck.planner import context_for
from fitcheck.tui.field import Field, Shown, along, around, count
from fitcheck.units import parse_tokens, tokens

_CONTEXT = tuple(1 << power for power in range(9, 21))
_PROMPT = tuple(1 << power for power in range(5, 21))
_TOGETHER = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_UBATCH = tuple(1 << power for power in range(5, 14))
_MOST_TOGETHER, _MOST_UBATCH = 256, 65536  # what the command line takes


def _parse_context(text: str) -> int | None:
    return parse_tokens(text) if text.strip() else None


def _context(shown: Shown) -> int:
    """The context asked for; beyond what the model knows, the planner says so."""
    asked = shown.question.request.context
    return asked or context_for(shown.question.model, shown.question.request.context)


def _context_step(shown: Shown, direction: int) -> int:
    """Powers of two up to what the model knows."""
    longest = shown.plan.model.context_max or _CONTEXT[-1]
    ladder = sorted({*(rung for rung in _CONTEXT if rung < longest), longest})
    return int(along(ladder, _context(shown), direction))


def _show_prompt(shown: Shown) -> str:
    asked = shown.question.request.prompt
    return tokens(asked) if asked else "all of it"


def _prompt_step(shown: Shown, direction: int) -> int | None:
    """Powers of two; at the whole context it is left to that."""
    most = _context(shown)
    ladder = [*(rung for rung in _PROMPT if rung < most), most]
    rung = int(along(ladder, shown.question.request.prompt or most, direction))
    return rung if rung < most else None


def _engine_step(shown: Shown, direction: int) -> str | None:
    ring = [None, *sorted({engine.name for engine in shown.question.engines})]
    return around(ring, shown.question.request.engine, direction)  # type: ignore[no-any-return]


REQUEST_FIELDS = (
    Field(
        "context", "context", lambda shown: tokens(_context(shown)), _context_step,
        _parse_context, "tokens: 4096, 32k",
    ),
    Field(
        "kv_type", "cache", lambda shown: shown.question.request.kv_type,
        lambda shown, way: around(KV_TYPES, shown.question.request.kv_type, way),
    ),
    Field(
        "prompt", "prompt", _show_prompt, _prompt_step, _parse_context,
        "tokens before the first answer",
    ),
    Field("engine", "engine", lambda shown: shown.question.request.engine or "any", _engine_step),
    Field(
        "slots", "slots", lambda shown: str(shown.question.request.slots),
        lambda shown, way: along(_TOGETHER, shown.question.request.slots, way),
        count("slots", _MOST_TOGETHER), "sequences the cache is divided for",
    ),
    Field(
        "batch", "batch", lambda shown: str(shown.question.request.batch),
        lambda shown, way: along(_TOGETHER, shown.question.request.batch, way),
        count("sequences", _MOST_TOGETHER), "sequences that decode together",
    ),
)  # fmt: skip

LOAD_FIELDS = (
    Field(
        "ubatch", "ubatch", lambda shown: str(shown.question.request.ubatch),
        lambda shown, way: along(_UBATCH, shown.question.request.ubatch, way),
        count("tokens", _MOST_UBATCH), "tokens of a prefill step",
    ),
    Field(
        "mmap", "weights", lambda shown: "mapped" if shown.question.request.mmap else "loaded (--no-mmap)",
        lambda shown, way: not shown.question.request.mmap,
    ),
)  # fmt: skip
"""How the engine loads and works, which most people leave as it is."""
