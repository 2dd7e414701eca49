"""Finds the programs this suite needs. What is absent is skipped by name: `SKIP prometheus: …`."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.sidecar import ROOT

# Debian packages are unpacked here rather than installed: nothing of the machine changes, and no root is needed.
UNPACKED = ROOT / ".interop" / "debian"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in sorted(
        {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])}
    ):
        terminalreporter.write_line(f"SKIP {reason}")


def debian_program(package: str, program: str) -> Path:
    """The program from PATH, or from its Debian package; skips the test where neither is to be had."""
    installed = shutil.which(program)
    if installed:
        return Path(installed)
    unpacked = UNPACKED / package / "usr" / "bin" / program
    if not unpacked.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            pytest.skip(f"{package}: {program} is not installed, and this is no Debian")
        _unpack(package)
    if not unpacked.exists():
        pytest.skip(f"{package}: its Debian package has no {program}")
    return unpacked


def _unpack(package: str) -> None:
    into = UNPACKED / package
    into.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-q", package]
    fetched = subprocess.run(download, cwd=into, check=False, capture_output=True, text=True, timeout=120)
    if fetched.returncode != 0:
        # The package lists may be missing or old; only root may renew them.
        subprocess.run(["apt-get", "update", "-q"], check=False, capture_output=True, timeout=240)
        fetched = subprocess.run(download, cwd=into, check=False, capture_output=True, text=True, timeout=120)
    archives = list(into.glob("*.deb"))
    if fetched.returncode != 0 or not archives:
        pytest.skip(f"{package}: `apt-get download` failed: {fetched.stderr.strip().splitlines()[-1:]}")
    subprocess.run(["dpkg-deb", "-x", archives[0], into], check=True, timeout=120)


@pytest.fixture(scope="session")
def prometheus() -> Iterator[Path]:
    yield debian_program("prometheus", "prometheus")


@pytest.fixture(scope="session")
def promtool() -> Iterator[Path]:
    yield debian_program("prometheus", "promtool")
