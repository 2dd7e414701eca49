"""The sidecar as a process: configuration in, listeners out, and a stop that must be clean.

`Sidecar.stop` holds every test to the same end: SIGTERM, exit code 0 within the grace period, no panic in the log.
"""

import copy
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.exposition import Scrape, scrape
from testbed.ports import free_port
from testbed.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("QIYAS_BINARY", ROOT / "target" / "release" / "qiyas"))

READY_WITHIN_SECONDS = 15.0
STOPPED_WITHIN_SECONDS = 20.0


def quiet_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without anything that configures OpenTelemetry, so that only the test speaks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QIYAS_"))}
    return kept | dict(extra or {})


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid upon it, mapping by mapping."""
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


class Sidecar:
    """One running `qiyas run`. Use it as a context manager: leaving the block stops it and judges how it stopped."""

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any] | None = None,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ):
        self.directory = directory
        self.ports = {name: free_port() for name in ("grpc", "http", "prometheus", "api")}
        listeners = {
            "receivers": {
                "otlp": {
                    "grpc": {"endpoint": f"127.0.0.1:{self.ports['grpc']}"},
                    "http": {"endpoint": f"127.0.0.1:{self.ports['http']}"},
                },
                "host": {"enabled": False},
            },
            "prometheus": {"endpoint": f"127.0.0.1:{self.ports['prometheus']}"},
            "api": {"endpoint": f"127.0.0.1:{self.ports['api']}"},
        }
        self.config = merged(listeners, config or {})
        self.config_file = directory / f"qiyas-{self.ports['api']}.yaml"
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")
        self.log_file = directory / f"qiyas-{self.ports['api']}.log"
        self.arguments = arguments
        self.environment = quiet_environment(environment)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sidecar":
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [BINARY, "run", "--config", self.config_file, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.directory,
            )
        try:
            eventually(self._ready, READY_WITHIN_SECONDS, every_seconds=0.01)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if kind is None:
            self.stop()
        elif self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            print(f"--- the sidecar's log\n{self.log()}")

    def _ready(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"exited with {self.process.returncode} before it was ready:\n{self.log()}")
        try:
            with urllib.request.urlopen(f"{self.api}/readyz", timeout=2) as answer:
                assert answer.status == 200
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"/readyz answers {refusal.code}: {refusal.read()!r}") from None

    @property
    def otlp_grpc(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def otlp_http(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['prometheus']}/metrics"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}"

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def scrape(self) -> Scrape:
        return scrape(self.metrics_url)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def memory_kib(self, field: str = "VmRSS") -> int:
        """Resident memory by /proc: `VmRSS` now, `VmHWM` at its highest."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        raise AssertionError(f"/proc has no {field} for the sidecar")

    def terminate(self) -> None:
        """Sends SIGTERM and returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> str:
        """SIGTERM, then exit code 0 and no panic; gives the whole log."""
        assert self.process is not None
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop within {STOPPED_WITHIN_SECONDS} s of SIGTERM:\n{self.log()}") from None
        log = self.log()
        assert "panicked" not in log, f"the sidecar panicked:\n{log}"
        assert code == 0, f"exit code {code} after SIGTERM:\n{log}"
        return log


def qiyas(
    *arguments: str | Path,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    within_seconds: float = 30.0,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs one `qiyas` command to its end."""
    finished = subprocess.run(
        [BINARY, *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=within_seconds,
        env=quiet_environment(environment),
        cwd=directory,
        check=False,
    )
    return subprocess.CompletedProcess(
        finished.args, finished.returncode, finished.stdout.decode(), finished.stderr.decode()
    )
