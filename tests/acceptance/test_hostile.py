"""Clients that mean harm: none stops or slows the others, and memory stays bounded."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from testbed import hostile, otlp, sdk, wire
from testbed.waiting import eventually

# limits.memory is 256 MiB where no cgroup says otherwise; the whole process stays under it.
HIGHEST_RESIDENT_KIB = 256 * 1024
SLOWEST_NORMAL_REQUEST_SECONDS = 3.0
METHOD = otlp.SERVICES["traces"].grpc_method


@contextmanager
def a_normal_client(sidecar) -> Iterator[Callable[[], list[float]]]:
    """Sends on both transports while the block runs; every request must succeed. Gives how long each took."""
    body = sdk.encoded("traces", sdk.rich_spans("normal")).SerializeToString()
    took: list[float] = []
    faults: list[object] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                assert (answer := wire.post(sidecar.ports["http"], "traces", body)).status == 200, answer
                assert (answer := wire.grpc_call(sidecar.ports["grpc"], "traces", body)).status == 0, answer
                sidecar.scrape()
            except Exception as fault:
                faults.append(fault)
            took.append(time.monotonic() - began)
            over.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: took
    finally:
        over.set()
        thread.join()
    assert faults == [], faults
    assert took and max(took) < SLOWEST_NORMAL_REQUEST_SECONDS, took
    assert sidecar.alive(), sidecar.log()
    assert sidecar.memory_kib("VmHWM") < HIGHEST_RESIDENT_KIB


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_of_one_gibibyte(sidecar, kind):
    bomb = b"".join(hostile.gzip_bomb() if kind == "gzip" else hostile.zstd_bomb())
    assert len(bomb) < 2 << 20
    with a_normal_client(sidecar):
        for _ in range(3):
            for content_type in (wire.PROTOBUF, wire.JSON):
                answer = wire.request(sidecar.ports["http"], "/v1/traces", bomb, content_type, kind)
                assert answer.status == 413, answer
            over_grpc = wire.grpc_call(sidecar.ports["grpc"], "traces", bomb, kind)
            assert over_grpc.status == 8, over_grpc
            assert over_grpc.retry_info() is None


def test_bombs_side_by_side(sidecar):
    bomb = b"".join(hostile.gzip_bomb())
    with a_normal_client(sidecar):
        threads = [
            threading.Thread(
                target=wire.request, args=(sidecar.ports["http"], "/v1/traces", bomb, wire.PROTOBUF, "gzip")
            )
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("listener", "opening"),
    [
        ("http", b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        (
            "http",
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n",
        ),
        ("grpc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("prometheus", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        ("api", b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
    ],
    ids=["headers", "body", "grpc", "prometheus", "api"],
)
def test_a_hundred_connections_that_send_a_byte_a_second(start, listener, opening):
    sidecar = start({"limits": {"request_time": "3s"}})
    # The fast part of a request goes at once, then a byte a second of what never ends.
    slow = hostile.Slowloris(sidecar.ports[listener], 100, b"a" * 64, seconds=5)
    for connection in slow.sockets:
        connection.sendall(opening)
    with a_normal_client(sidecar), slow:
        pass
    # They are shut out after the request's time, not merely survived.
    reopened = hostile.Slowloris(sidecar.ports[listener], 10, b"a", seconds=0)
    with reopened:
        for connection in reopened.sockets:
            connection.sendall(opening)
        eventually(lambda: _all_closed(reopened), 12)


def _all_closed(slow: hostile.Slowloris) -> None:
    closed = slow.closed_by_server()
    assert closed == len(slow.sockets), f"the server closed {closed} of {len(slow.sockets)}"


def test_rapid_reset(sidecar):
    with a_normal_client(sidecar):
        for _ in range(3):
            hostile.rapid_reset(sidecar.ports["grpc"], METHOD, 5_000)
            hostile.rapid_reset(sidecar.ports["http"], METHOD, 1_000)


def test_continuation_flood(sidecar):
    with a_normal_client(sidecar):
        taken = hostile.continuation_flood(sidecar.ports["grpc"], frames=4_000)
    assert taken < 32 << 20, f"the server took {taken} bytes of one header block"


def test_more_connections_than_allowed(start):
    """The limit holds, and a place that becomes free is given out again."""
    import socket

    sidecar = start({"limits": {"connections": 64}})
    held = [socket.create_connection(("127.0.0.1", sidecar.ports["http"]), timeout=5) for _ in range(200)]
    assert sidecar.alive()
    for connection in held:
        connection.close()
    body = sdk.encoded("traces", sdk.rich_spans("after")).SerializeToString()
    eventually(
        lambda: _accepted(
            wire.post(
                sidecar.ports["http"],
                "traces",
                body,
            ),
            200,
        )
    )


def _accepted(answer: wire.HttpAnswer, status: int) -> None:
    assert answer.status == status, answer


def test_many_bodies_under_way_are_bounded_and_refused_with_a_hint(start):
    """`limits.in_flight` is charged as bytes arrive: past it, others are told when to come back."""
    import socket

    sidecar = start({"limits": {"in_flight": "1MiB", "request_time": "5s"}})
    head = (
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 900001\r\n\r\n"
    )
    held = []
    for _ in range(8):
        connection = socket.create_connection(("127.0.0.1", sidecar.ports["http"]), timeout=10)
        held.append(connection)
        connection.sendall(head)
        try:
            connection.sendall(b"\x00" * 900_000)
        except OSError:
            pass
    answers = []
    for connection in held:
        connection.settimeout(1)
        try:
            answers.append(connection.recv(4096))
        except OSError:
            answers.append(b"")
    refused = [answer for answer in answers if answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 429"))]
    assert len(refused) >= 5, answers
    assert all(b"retry-after:" in answer.lower() for answer in refused)
    for connection in held:
        connection.close()
    body = sdk.encoded("traces", sdk.rich_spans("after")).SerializeToString()
    eventually(lambda: _accepted(wire.post(sidecar.ports["http"], "traces", body), 200))
    scrape = sidecar.scrape()
    assert scrape.total("qiyas_receiver_refused_total", transport="http") >= len(refused)
