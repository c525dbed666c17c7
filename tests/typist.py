"""A person at the TUI's keyboard, without a terminal."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from textual import events
from textual.pilot import Pilot

from fitcheck.schema.plan import FormatPlan
from fitcheck.tui.app import FitcheckApp

Person = Callable[[Pilot[None]], Coroutine[Any, Any, None]]


def run(app: FitcheckApp, person: Person, size: tuple[int, int] = (80, 24)) -> None:
    """Open the app without a terminal and let the person type."""

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await person(pilot)

    asyncio.run(session())


def screen_text(app: FitcheckApp) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def row(app: FitcheckApp, name: str) -> FormatPlan:
    assert app.plan is not None
    return next(row for row in app.plan.plans if row.format == name)


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came to pass")


async def answered(pilot: Pilot[None]) -> None:
    """With cards the plan comes a moment after the key."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def burst(app: FitcheckApp, keys: list[str]) -> None:
    """Keys of a single read: all are there before the first is handled."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))
