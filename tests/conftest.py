"""Fixtures of both suites."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.capture import Capture
from testbed.sidecar import BINARY, Sidecar


def pytest_sessionstart(session: pytest.Session) -> None:
    if not BINARY.is_file():
        pytest.exit(f"{BINARY} is not there: `cargo build --release` first, or set QIYAS_BINARY", returncode=2)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sidecar]]:
    """Starts sidecars; each is stopped after the test by SIGTERM and must then exit with 0 and without a panic."""
    running: list[Sidecar] = []

    def start_one(config: dict | None = None, **more: object) -> Sidecar:
        sidecar = Sidecar(tmp_path, config, **more)  # type: ignore[arg-type]
        sidecar.__enter__()
        running.append(sidecar)
        return sidecar

    yield start_one
    for sidecar in running:
        # Shown by pytest only when the test, or the stop, fails.
        try:
            sidecar.stop()
        finally:
            print(f"--- {sidecar.log_file.name}\n{sidecar.log()}")


@pytest.fixture
def sidecar(start: Callable[..., Sidecar]) -> Sidecar:
    """One sidecar on default settings but for its ports, without host metrics."""
    return start()


@pytest.fixture
def listen() -> Iterator[Callable[..., Capture]]:
    """Starts capturing receivers and stops them after the sidecars (fixtures end in reverse order of their start)."""
    with contextlib.ExitStack() as running:
        yield lambda protocol, **more: running.enter_context(Capture(protocol, **more))
