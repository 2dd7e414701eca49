"""Forwarding to destinations that are slow, refuse, throttle, go away and come back."""

import random
import threading
import time

import grpc
import pytest
import trustme

from testbed import otlp, sdk, wire
from testbed.capture import PERMANENT, UNAVAILABLE, Answer
from testbed.waiting import eventually

PROTOCOLS = ["grpc", "http/protobuf"]


def batch(service: str, count: int = 3) -> tuple[bytes, int]:
    """One export of `count` spans, as bytes."""
    maker = sdk.SpanMaker(service)
    for number in range(count):
        maker.span(f"span {number}", 1_000_000, attributes={"n": number, "service": service})
    return sdk.encoded("traces", maker.take()).SerializeToString(), count


def post(sidecar, body: bytes, signal: str = "traces") -> None:
    answer = wire.post(sidecar.ports["http"], signal, body)
    assert answer.status == 200, answer


@pytest.mark.parametrize(
    ("protocol", "compression"),
    # zstd over gRPC has a test of its own: grpcio does not read it.
    [
        ("grpc", "none"),
        ("grpc", "gzip"),
        ("http/protobuf", "none"),
        ("http/protobuf", "gzip"),
        ("http/protobuf", "zstd"),
    ],
)
def test_untouched_bytes_in_every_compression(start, listen, protocol, compression):
    downstream = listen(protocol)
    sidecar = start({"forward": [downstream.destination(compression=compression)]})
    sent = []
    for signal in otlp.SIGNALS:
        body = sdk.encoded(signal, sdk.RICH[signal]("untouched")).SerializeToString()
        post(sidecar, body, signal)
        downstream.wait_for_items(signal, 1)
        sent.append([body])
    assert [[export.body for export in downstream.exports(signal)] for signal in otlp.SIGNALS] == sent
    if protocol == "http/protobuf":
        for signal in otlp.SIGNALS:
            [export] = downstream.exports(signal)
            assert export.headers.get("content-encoding", "none") == compression
            assert export.headers["content-type"] == "application/x-protobuf"


def test_zstd_over_grpc(start, listen):
    """A second sidecar is the receiver: the two agree about zstd over gRPC, and the third hop shows that nothing changed."""
    downstream = listen("grpc")
    second = start({"forward": [downstream.destination()]})
    first = start(
        {"forward": [downstream.destination() | {"endpoint": f"http://{second.otlp_grpc}", "compression": "zstd"}]}
    )
    body, count = batch("chained")
    post(first, body)
    downstream.wait_for_items("traces", count)
    assert [export.body for export in downstream.exports("traces")] == [body]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_passing_failure_is_retried_and_nothing_is_lost_or_doubled(start, listen, protocol):
    downstream = listen(protocol)
    downstream.inbox.script.extend([UNAVAILABLE] * 2)
    sidecar = start({"forward": [downstream.destination()]})
    body, count = batch("retried")
    post(sidecar, body)
    downstream.wait_for_items("traces", count)
    time.sleep(0.5)
    exports = downstream.exports("traces")
    assert [export.accepted for export in exports] == [False, False, True]
    assert {export.body for export in exports} == {body}

    def counted():
        scrape = sidecar.scrape()
        assert scrape.value("qiyas_forward_sent_total", destination="downstream", signal="traces") == count
        assert scrape.total("qiyas_forward_failed_total") == scrape.total("qiyas_forward_dropped_total") == 0

    eventually(counted)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_delay_that_the_receiver_asks_for_is_kept(start, listen, protocol):
    """RetryInfo over gRPC (which alone makes RESOURCE_EXHAUSTED retryable), Retry-After over HTTP."""
    downstream = listen(protocol)
    throttled = Answer(grpc_status=grpc.StatusCode.RESOURCE_EXHAUSTED, http_status=429, retry_after_seconds=3)
    downstream.inbox.script.append(throttled)
    sidecar = start({"forward": [downstream.destination()]})
    body, count = batch("throttled")
    post(sidecar, body)
    downstream.wait_for_items("traces", count)
    refused, accepted = downstream.exports("traces")
    assert 2.9 <= accepted.at - refused.at <= 8


def test_resource_exhausted_without_retry_info_is_permanent(start, listen):
    downstream = listen("grpc")
    downstream.inbox.script.append(Answer(grpc_status=grpc.StatusCode.RESOURCE_EXHAUSTED))
    sidecar = start({"forward": [downstream.destination()]})
    _permanent_then_fine(sidecar, downstream)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_permanent_refusal_drops_that_record_only(start, listen, protocol):
    downstream = listen(protocol)
    downstream.inbox.script.append(PERMANENT)
    sidecar = start({"forward": [downstream.destination()]})
    _permanent_then_fine(sidecar, downstream)


def _permanent_then_fine(sidecar, downstream):
    first, lost = batch("lost", 4)
    post(sidecar, first)
    eventually(lambda: _equal(sidecar.scrape().total("qiyas_forward_failed_total", signal="traces"), lost))
    second, count = batch("kept", 2)
    post(sidecar, second)
    downstream.wait_for_items("traces", count)
    assert [(export.body, export.accepted) for export in downstream.exports("traces")] == [
        (first, False),
        (second, True),
    ]
    eventually(lambda: _equal(sidecar.scrape().total("qiyas_forward_sent_total", signal="traces"), count))


def _equal(left, right):
    assert left == right, f"{left} is not {right}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_partial_success_is_counted_and_not_retried(start, listen, protocol):
    downstream = listen(protocol)
    downstream.inbox.script.append(Answer(rejected=2, message="two were too old"))
    sidecar = start({"forward": [downstream.destination()]})
    body, count = batch("partial", 5)
    post(sidecar, body)

    def counted():
        scrape = sidecar.scrape()
        assert scrape.total("qiyas_forward_failed_total", destination="downstream", signal="traces") == 2
        assert scrape.total("qiyas_forward_sent_total", destination="downstream", signal="traces") == count - 2

    eventually(counted)
    time.sleep(1)
    assert len(downstream.exports("traces")) == 1
    eventually(lambda: _contains(sidecar.log(), "two were too old"))


def _contains(text, part):
    assert part in text, f"{part!r} is not in the log:\n{text}"


@pytest.mark.parametrize("slow_protocol", PROTOCOLS)
def test_a_slow_destination_delays_no_other(start, listen, slow_protocol):
    slow, quick = listen(slow_protocol), listen("grpc")
    slow.inbox.otherwise = Answer(delay_seconds=4)
    sidecar = start(
        {
            "forward": [slow.destination("slow"), quick.destination("quick")],
            "shutdown": "1s",
        }
    )
    began = time.monotonic()
    total = 0
    for number in range(20):
        body, count = batch(f"beside-{number}")
        post(sidecar, body)
        total += count
    quick.wait_for_items("traces", total, within_seconds=3.5)
    assert time.monotonic() - began < 4, "the quick destination waited for the slow one"
    slow.inbox.otherwise = Answer()
    # And the slow one loses nothing by being slow.
    assert slow.wait_for_items("traces", total, 20) == quick.items("traces")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_destination_that_goes_away_and_comes_back_gets_everything_once(start, listen, protocol):
    downstream = listen(protocol)
    sidecar = start({"forward": [downstream.destination()]})
    bodies = [batch(f"away-{number}") for number in range(6)]
    post(sidecar, bodies[0][0])
    downstream.wait_for_items("traces", bodies[0][1])
    downstream.stop()
    for body, _ in bodies[1:5]:
        post(sidecar, body)
    time.sleep(0.5)
    downstream.start()
    post(sidecar, bodies[5][0])
    total = sum(count for _, count in bodies)
    expected = otlp.items("traces", [otlp.parse("traces", body) for body, _ in bodies])
    assert downstream.wait_for_items("traces", total, 25) == expected


def test_a_destination_that_is_behind_drops_the_oldest_and_counts_them(start, listen):
    downstream = listen("grpc")
    downstream.inbox.otherwise = UNAVAILABLE
    sidecar = start(
        {
            "journal": {"memory": "1MiB"},
            "forward": [downstream.destination()],
            "shutdown": "1s",
        }
    )
    filler = "x" * 1000
    total = 0
    for number in range(60):
        maker = sdk.SpanMaker(f"behind-{number}")
        for _ in range(100):
            maker.span("filler", 1_000_000, attributes={"filler": filler})
        post(sidecar, sdk.encoded("traces", maker.take()).SerializeToString())
        total += 100
    eventually(lambda: _equal(sidecar.scrape().total("traces_span_metrics_calls_total"), total))

    def some_dropped():
        dropped = sidecar.scrape().total("qiyas_forward_dropped_total", destination="downstream", signal="traces")
        assert 0 < dropped < total

    eventually(some_dropped)
    downstream.inbox.otherwise = Answer()

    def all_accounted_for():
        scrape = sidecar.scrape()
        dropped = scrape.total("qiyas_forward_dropped_total", signal="traces")
        sent = scrape.total("qiyas_forward_sent_total", signal="traces")
        assert sent == downstream.items("traces").total() > 0
        assert sent + dropped == total

    eventually(all_accounted_for, 30)


def test_large_backlogs_go_out_in_requests_that_a_collector_takes(start, listen):
    """A Collector's gRPC limit is 4 MiB: small records are sent together, large ones are split by item."""
    downstream = listen("grpc")
    downstream.inbox.script.append(Answer(grpc_status=grpc.StatusCode.UNAVAILABLE, retry_after_seconds=1))
    sidecar = start({"forward": [downstream.destination()]})
    expected = []
    noise = random.Random(7)
    for number in range(5):
        maker = sdk.SpanMaker(f"small-{number}")
        maker.span("small", 1_000_000)
        expected.append(sdk.encoded("traces", maker.take()))
    maker = sdk.SpanMaker("large")
    for _ in range(90):
        maker.span("large", 1_000_000, attributes={"noise": noise.randbytes(50_000).hex()})
    large = sdk.encoded("traces", maker.take())
    assert large.ByteSize() > 8 << 20
    expected.append(large)
    for message in expected:
        post(sidecar, message.SerializeToString())
    items = otlp.items("traces", expected)
    assert downstream.wait_for_items("traces", items.total()) == items
    assert max(len(export.body) for export in downstream.exports("traces")) <= 3 << 20


def test_derived_metrics_arrive_as_otlp(start, listen):
    downstream = listen("grpc")
    sidecar = start(
        {
            "forward": [
                downstream.destination(
                    signals=["derived"], interval="1s", temporality="cumulative", histogram="explicit"
                )
            ]
        }
    )
    maker = sdk.SpanMaker("derived", "one", **{"service.namespace": "shop"})
    for _ in range(5):
        maker.span("work", 30_000_000)
    body = sdk.encoded("traces", maker.take()).SerializeToString()
    post(sidecar, body)

    def arrived():
        last = {}
        for request in downstream.requests("metrics"):
            for under in request.resource_metrics:
                who = otlp.attributes(under.resource)
                for scope in under.scope_metrics:
                    for metric in scope.metrics:
                        last[who.get("service.name"), metric.name] = (who, scope.scope.name, metric)
        assert ("derived", "traces.span.metrics.calls") in last, sorted(map(str, last))
        return last

    last = eventually(arrived)
    who, scope, calls = last["derived", "traces.span.metrics.calls"]
    assert (who["service.namespace"], who["service.instance.id"]) == ("shop", "one")
    assert scope == "qiyas/spans"
    assert calls.sum.is_monotonic and calls.sum.aggregation_temporality == 2
    [point] = calls.sum.data_points
    assert (point.as_int or point.as_double) == 5
    assert otlp.attributes(point)["span.name"] == "work"
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
    _, _, duration = last["derived", "traces.span.metrics.duration"]
    assert duration.unit == "s"
    [histogram] = duration.histogram.data_points
    assert histogram.count == sum(histogram.bucket_counts) == 5
    assert histogram.sum == pytest.approx(0.15)
    # Metrics of the sidecar itself stand under its own resource.
    own = [who for (service, name), (who, _, _) in last.items() if name == "qiyas.receiver.accepted"]
    assert own and own[0].get("service.name") != "derived"
    assert downstream.exports("traces") == [], "this destination did not ask for traces"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_https_with_an_own_authority(start, listen, tmp_path, protocol):
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    downstream = listen(protocol, tls=(chain, key))
    sidecar = start({"forward": [downstream.destination(tls={"ca_file": str(ca)})]})
    body, count = batch("secret")
    post(sidecar, body)
    downstream.wait_for_items("traces", count)
    assert [export.body for export in downstream.exports("traces")] == [body]


def test_an_unknown_authority_is_not_trusted(start, listen, tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(str(key))
    other.cert_pem.write_to_path(str(ca))
    downstream = listen("http/protobuf", tls=(chain, key))
    sidecar = start({"forward": [downstream.destination(tls={"ca_file": str(ca)})], "shutdown": "1s"})
    body, _ = batch("secret")
    post(sidecar, body)
    eventually(lambda: _contains(sidecar.log().lower(), "certificate"))
    assert downstream.exports("traces") == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_headers_from_the_configuration_and_from_files(start, listen, tmp_path, protocol):
    token = tmp_path / "token"
    token.write_text("Bearer first-secret\n", encoding="ascii")
    downstream = listen(protocol)
    headers = {"x-tenant": "north", "authorization": {"file": str(token)}}
    sidecar = start({"forward": [downstream.destination(headers=headers)]})
    body, count = batch("headed")
    post(sidecar, body)
    downstream.wait_for_items("traces", count)
    [export] = downstream.exports("traces")
    assert export.headers["x-tenant"] == "north"
    assert export.headers["authorization"] == "Bearer first-secret"
    assert "first-secret" not in sidecar.log()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sigterm_drains(start, listen, protocol):
    """What was acknowledged just before SIGTERM still arrives, and the last derived metrics with it."""
    downstream = listen(protocol)
    downstream.inbox.script.append(Answer(delay_seconds=0.5))
    sidecar = start({"forward": [downstream.destination(signals=["traces", "derived"], interval="60s")]})
    expected = []
    for number in range(10):
        body, _ = batch(f"drained-{number}")
        post(sidecar, body)
        expected.append(otlp.parse("traces", body))
    sidecar.stop()
    assert downstream.items("traces") == otlp.items("traces", expected)
    names = {
        metric.name
        for request in downstream.requests("metrics")
        for under in request.resource_metrics
        for scope in under.scope_metrics
        for metric in scope.metrics
    }
    assert "traces.span.metrics.calls" in names, names


def test_a_drain_ends_when_its_time_is_up(start, listen):
    downstream = listen("grpc")
    downstream.inbox.otherwise = UNAVAILABLE
    sidecar = start({"forward": [downstream.destination()], "shutdown": "2s"})
    body, _ = batch("undeliverable")
    post(sidecar, body)
    began = time.monotonic()
    sidecar.stop()
    assert time.monotonic() - began < 5


def test_the_standard_variables_make_a_destination(start, listen):
    downstream = listen("http/protobuf")
    sidecar = start(
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": downstream.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-from=environment",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
    )
    body, count = batch("environment")
    post(sidecar, body)
    downstream.wait_for_items("traces", count)
    [export] = downstream.exports("traces")
    assert (export.headers["x-from"], export.headers["content-encoding"]) == ("environment", "gzip")


def test_many_senders_at_once(start, listen):
    """Eight clients, two transports, one destination: the sum of what was sent is what arrives."""
    downstream = listen("grpc")
    sidecar = start({"forward": [downstream.destination()]})
    sent: list[bytes] = []
    faults: list[object] = []

    def client(number: int) -> None:
        for turn in range(25):
            body, _ = batch(f"client-{number}-{turn}", 4)
            if number % 2:
                answer = wire.post(sidecar.ports["http"], "traces", body, encoding="gzip")
                good = answer.status == 200
            else:
                answer = wire.grpc_call(sidecar.ports["grpc"], "traces", body)
                good = answer.status == 0
            if good:
                sent.append(body)
            else:
                faults.append(answer)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    expected = otlp.items("traces", [otlp.parse("traces", body) for body in sent])
    assert downstream.wait_for_items("traces", expected.total(), 20) == expected
    eventually(lambda: _equal(sidecar.scrape().total("traces_span_metrics_calls_total"), 8 * 25 * 4))
