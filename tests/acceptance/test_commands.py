"""The command line: validate, config, health, version, and how `run` fails."""

import json
import socket
import time

import pytest
import yaml

from testbed import otlp, sdk, wire
from testbed.ports import free_port
from testbed.sidecar import BINARY, ROOT, qiyas
from testbed.waiting import eventually


def test_version_names_the_package_and_its_version():
    run = qiyas("version")
    assert run.returncode == 0
    import tomllib

    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]
    assert run.stdout.startswith("qiyas") and version in run.stdout
    assert version in qiyas("--version").stdout


def test_usage_errors_exit_2():
    assert qiyas("rnu").returncode == 2
    assert qiyas("run", "--nonsense").returncode == 2
    assert qiyas("run", "--config", "/does/not/exist.yaml").returncode == 2


def test_validate_accepts_nothing_and_everything(tmp_path):
    assert qiyas("validate", directory=tmp_path).returncode == 0
    shown = qiyas("config", "show")
    assert shown.returncode == 0
    everything = tmp_path / "everything.yaml"
    everything.write_text(shown.stdout, encoding="utf-8")
    again = qiyas("validate", "--config", everything)
    assert again.returncode == 0, again.stderr + again.stdout


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("receivers:\n  otlp:\n    grcp: {endpoint: 127.0.0.1:4317}\n", 3, 5, ["grcp", "grpc"]),
        ("spans:\n  dimension: []\n", 2, 3, ["dimension", "dimensions"]),
        ("limts: {}\n", 1, 1, ["limts", "limits"]),
        ("journal: {memory: lots}\n", 1, 19, ["lots"]),
        ("ai:\n  windows: [5m, soon]\n", 2, 17, ["soon"]),
        ("forward:\n  - {name: a, endpoint: 'http://x:4317', protocol: smtp}\n", 2, None, ["smtp", "grpc"]),
        ("spans: {unit: s, unit: ms}\n", 1, None, ["unit"]),
        ("spans: [\n", None, None, []),
    ],
)
@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_typo_is_named_with_its_place_and_the_nearest_key(tmp_path, command, text, line, column, words):
    file = tmp_path / "qiyas.yaml"
    file.write_text(text, encoding="utf-8")
    run = qiyas(command, "--config", file)
    assert run.returncode == 2, run
    said = run.stdout + run.stderr
    assert f"{file}:" in said or f"{file.name}:" in said, said
    if line is not None:
        assert f"{file.name}:{line}:" in said, said
    if column is not None:
        assert f"{file.name}:{line}:{column}:" in said, said
    for word in words:
        assert word in said, said
    assert "panicked" not in said


def test_every_error_is_told_at_once(tmp_path):
    file = tmp_path / "qiyas.yaml"
    file.write_text("limts: {}\nspans:\n  dimension: []\njournal: {memory: lots}\n", encoding="utf-8")
    run = qiyas("validate", "--config", file)
    said = run.stdout + run.stderr
    assert run.returncode == 2
    assert [f"{file.name}:{line}:" in said for line in (1, 3, 4)] == [True] * 3, said


def test_config_show_is_the_effective_configuration_with_secrets_redacted(tmp_path):
    file = tmp_path / "qiyas.yaml"
    file.write_text(
        "journal:\n  memory: ${env:RING:-8MiB}\n"
        "forward:\n  - {name: far, endpoint: 'http://127.0.0.1:9', headers: {authorization: Bearer hunter2}}\n",
        encoding="utf-8",
    )
    run = qiyas("config", "show", "--config", file, "--set", "spans.unit=ms", environment={"RING": "12MiB"})
    assert run.returncode == 0, run.stderr
    shown = yaml.safe_load(run.stdout)
    assert shown["journal"]["memory"] == "12MiB"
    assert shown["spans"]["unit"] == "ms"
    assert shown["receivers"]["otlp"]["grpc"]["endpoint"] == "127.0.0.1:4317"
    assert shown["forward"][0]["name"] == "far"
    assert "hunter2" not in run.stdout + run.stderr


def test_config_schema_is_json_schema_of_every_section():
    run = qiyas("config", "schema")
    assert run.returncode == 0
    schema = json.loads(run.stdout)
    sections = set(yaml.safe_load(qiyas("config", "show").stdout))
    assert sections <= set(schema["properties"]), sections - set(schema["properties"])


def test_health_asks_the_running_sidecar(sidecar):
    assert qiyas("health", "--config", sidecar.config_file).returncode == 0
    assert qiyas("health", "--ready", "--config", sidecar.config_file).returncode == 0
    sidecar.stop()
    assert qiyas("health", "--config", sidecar.config_file).returncode == 1


@pytest.mark.parametrize("listener", ["grpc", "http", "prometheus", "api"])
def test_a_port_in_use_is_named_and_exits_1(tmp_path, listener):
    keys = {
        "grpc": "receivers.otlp.grpc.endpoint",
        "http": "receivers.otlp.http.endpoint",
        "prometheus": "prometheus.endpoint",
        "api": "api.endpoint",
    }
    ports = {name: free_port() for name in keys}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[listener]))
        taken.listen()
        settings = [f"--set={key}=127.0.0.1:{ports[name]}" for name, key in keys.items()]
        run = qiyas("run", *settings, directory=tmp_path)
    said = run.stdout + run.stderr
    assert run.returncode == 1, said
    assert f"127.0.0.1:{ports[listener]}" in said, said
    assert "in use" in said.lower(), said
    assert "panicked" not in said


def test_a_destination_that_is_ourselves_is_an_error(tmp_path):
    file = tmp_path / "qiyas.yaml"
    file.write_text("forward:\n  - {name: loop, endpoint: 'http://127.0.0.1:4317'}\n", encoding="utf-8")
    run = qiyas("run", "--config", file)
    assert run.returncode == 2, run
    assert "127.0.0.1:4317" in run.stdout + run.stderr


def test_run_prints_a_line_for_each_listener(sidecar):
    log = sidecar.log()
    for name, port in sidecar.ports.items():
        assert f"127.0.0.1:{port}" in log, f"no line for {name}:\n{log}"


def test_two_signals_leave_at_once(start, listen):
    downstream = listen("grpc")
    from testbed.capture import UNAVAILABLE

    downstream.inbox.otherwise = UNAVAILABLE
    sidecar = start({"forward": [downstream.destination()], "shutdown": "30s"})
    body = sdk.encoded("traces", sdk.rich_spans("stuck")).SerializeToString()
    assert wire.post(sidecar.ports["http"], "traces", body).status == 200
    sidecar.terminate()
    time.sleep(0.3)
    assert sidecar.alive(), "the first SIGTERM drains"
    began = time.monotonic()
    sidecar.terminate()
    sidecar.process.wait(5)
    assert time.monotonic() - began < 2
    assert "panicked" not in sidecar.log()
    # How it left is judged here; the fixture would ask for a clean drain.
    sidecar.process.returncode = 0


def test_logs_as_json(start):
    sidecar = start({"telemetry": {"logs": {"level": "info", "format": "json"}}})
    log = sidecar.stop()
    objects = []
    for line in log.splitlines():
        try:
            objects.append(json.loads(line))
        except ValueError:
            continue
    assert objects, f"no JSON line in:\n{log}"


def test_the_sidecars_own_traces_go_where_they_are_asked_to_go(start, listen):
    downstream = listen("grpc")
    sidecar = start({"telemetry": {"traces": {"endpoint": downstream.endpoint}}})
    body = sdk.encoded("traces", sdk.rich_spans("watched")).SerializeToString()
    assert wire.post(sidecar.ports["http"], "traces", body).status == 200
    sidecar.stop()
    services = {
        otlp.attributes(under.resource).get("service.name")
        for request in downstream.requests("traces")
        for under in request.resource_spans
    }
    # Its own spans alone: no destination was configured for the app's.
    assert services == {"qiyas"}


def test_readyz_stays_ready_and_healthz_alive(sidecar):
    def ready():
        for path in ("/healthz", "/readyz"):
            answer = wire.request(sidecar.ports["api"], path, None, None, method="GET")
            assert answer.status == 200, answer

    eventually(ready)


def test_start_up_and_idle_are_small(start):
    """Generous bounds: the figures themselves are the benchmark's and the README's."""
    began = time.monotonic()
    sidecar = start()
    assert time.monotonic() - began < 2
    time.sleep(1)
    assert sidecar.memory_kib() < 40 * 1024
    assert BINARY.stat().st_size < 40 << 20
