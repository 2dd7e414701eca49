"""The example's own script, as its README says to run it: it makes its environment, starts its server, talks, and reports."""

import os
import subprocess

import pytest

from testbed.sidecar import ROOT, quiet_environment
from testbed.waiting import eventually

SCRIPT = ROOT / "examples" / "python-chat" / "run.sh"


@pytest.mark.timeout(300)
def test_run_sh_is_one_command(sidecar):
    run = subprocess.run(
        [SCRIPT, "--rounds", "1"],
        env=quiet_environment(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sidecar.otlp_grpc}", "PATH": os.environ["PATH"]}
        ),
        check=False,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "gpt-4o-mini: 6 calls, 2 refused" in run.stdout, run.stdout

    def counted():
        # Six calls under each instrumentation.
        assert sidecar.scrape().total("qiyas_ai_requests_total") == 12

    eventually(counted)
