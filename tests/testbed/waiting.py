"""Waiting for what another process is about to do, with a limit and a message that says what was last seen."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(attempt: Callable[[], T], within_seconds: float = 15.0, every_seconds: float = 0.02) -> T:
    """Runs `attempt` until it raises no AssertionError (nor a refused connection), and returns what it returned."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            return attempt()
        except (AssertionError, OSError):
            if time.monotonic() >= deadline:
                raise
        time.sleep(every_seconds)
