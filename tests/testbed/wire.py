"""Raw OTLP clients: what no SDK would send, and every byte of what is answered."""

import base64
import gzip
import http.client
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.events
import h2.settings
import zstandard
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from testbed import otlp

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def compressed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body, compresslevel=1, mtime=0)
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    assert encoding in ("", "identity", "none"), encoding
    return body


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    def error(self) -> status_pb2.Status:
        """The body as `google.rpc.Status`, in the content type that the answer claims."""
        kind = self.headers.get("content-type", "")
        if kind.startswith(JSON):
            return json_format.Parse(self.body, status_pb2.Status())
        assert kind.startswith(PROTOBUF), f"an error body of type {kind!r}: {self.body[:200]!r}"
        return status_pb2.Status.FromString(self.body)


def request(
    port: int,
    path: str,
    body: bytes | Iterable[bytes] | None,
    content_type: str | None = PROTOBUF,
    encoding: str = "",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    timeout: float = 20.0,
) -> HttpAnswer:
    """One HTTP/1.1 request; an iterable body goes out chunked as it is made."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    sent = dict(headers or {})
    if content_type is not None:
        sent["Content-Type"] = content_type
    if encoding:
        sent["Content-Encoding"] = encoding
    try:
        try:
            connection.request(method, path, body, sent, encode_chunked=not isinstance(body, bytes | None))
        except (BrokenPipeError, ConnectionResetError):
            # Refused while the body was still under way: the answer may stand in the socket already.
            pass
        answer = connection.getresponse()
        return HttpAnswer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(port: int, signal: str, body: bytes, content_type: str = PROTOBUF, encoding: str = "") -> HttpAnswer:
    """Posts one export whose body is compressed here."""
    return request(port, otlp.SERVICES[signal].http_path, compressed(body, encoding), content_type, encoding)


@dataclass(frozen=True)
class GrpcAnswer:
    status: int
    message: str
    body: bytes
    trailers: dict[str, str | bytes]

    def retry_info(self) -> error_details_pb2.RetryInfo | None:
        details = self.trailers.get("grpc-status-details-bin")
        if details is None:
            return None
        raw = details if isinstance(details, bytes) else _base64(details)
        for detail in status_pb2.Status.FromString(raw).details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                return info
        return None


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


class Http2:
    """A client connection on which a test controls every frame."""

    def __init__(self, port: int, timeout: float = 20.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def receive(self) -> list[h2.events.Event]:
        """The events in what comes next; an empty list once the server has closed."""
        data = self.socket.recv(1 << 16)
        events = self.h2.receive_data(data) if data else []
        self.flush()
        return events

    def open_grpc(self, method: str, encoding: str = "", end: bool = False) -> int:
        stream = self.h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        if encoding:
            headers.append(("grpc-encoding", encoding))
        self.h2.send_headers(stream, headers, end_stream=end)
        return stream

    def send_all(self, stream: int, chunks: Iterable[bytes]) -> list[h2.events.Event]:
        """Sends these bytes as the window allows, ends the stream, and gives the events seen meanwhile.

        Stops early, without an error, when the server ends the stream first.
        """
        seen: list[h2.events.Event] = []
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(rest))
                if room > 0:
                    self.h2.send_data(stream, bytes(rest[:room]))
                    rest = rest[room:]
                    self.flush()
                    continue
                events = self.receive()
                seen += events
                if not events or _ended(events, stream):
                    return seen
        self.h2.end_stream(stream)
        self.flush()
        return seen


def _ended(events: Iterable[h2.events.Event], stream: int) -> bool:
    return any(
        isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) and event.stream_id == stream
        for event in events
    )


def grpc_frame(message: bytes, is_compressed: bool) -> bytes:
    return struct.pack(">BI", is_compressed, len(message)) + message


def grpc_call(
    port: int,
    signal: str,
    message: bytes | Iterator[bytes],
    encoding: str = "",
    length: int | None = None,
    timeout: float = 20.0,
) -> GrpcAnswer:
    """One unary export over a connection of its own. `message` is sent as it is: already compressed if `encoding` says so.

    An iterator is sent piece by piece under one prefix that announces `length` bytes.
    """
    chunks: Iterable[bytes]
    if isinstance(message, bytes):
        chunks = [grpc_frame(message, bool(encoding))]
    else:
        assert length is not None

        def framed(pieces: Iterator[bytes] = message) -> Iterator[bytes]:
            yield struct.pack(">BI", bool(encoding), length)
            yield from pieces

        chunks = framed()
    with Http2(port, timeout) as connection:
        stream = connection.open_grpc(otlp.SERVICES[signal].grpc_method, encoding)
        events = connection.send_all(stream, chunks)
        while not _ended(events, stream):
            more = connection.receive()
            if not more:
                raise ConnectionError(f"the server closed without an answer; events so far: {events}")
            events += more
    body = b""
    trailers: dict[str, str | bytes] = {}
    for event in events:
        if isinstance(event, h2.events.DataReceived):
            body += event.data
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            trailers.update(event.headers)
        elif isinstance(event, h2.events.StreamReset) and "grpc-status" not in trailers:
            raise ConnectionError(f"the stream was reset with error {event.error_code}")
    assert "grpc-status" in trailers, f"no grpc-status in {trailers}"
    return GrpcAnswer(int(trailers["grpc-status"]), unquote(str(trailers.get("grpc-message", ""))), body[5:], trailers)
