"""A downstream OTLP receiver that keeps every request as it came and answers as it is told.

Two transports, one inbox: gRPC by `grpcio` (handlers take raw bytes, so a body can be compared byte for byte) and HTTP by
the standard library. Answers are scripted in order; when the script is empty the receiver accepts.
"""

import gzip
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import zstandard
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from testbed import otlp
from testbed.ports import free_port
from testbed.waiting import eventually


@dataclass(frozen=True)
class Answer:
    """How to answer one export. The default accepts it at once."""

    delay_seconds: float = 0.0
    # Refusals: a gRPC status for the one transport, an HTTP status for the other.
    grpc_status: grpc.StatusCode | None = None
    http_status: int | None = None
    retry_after_seconds: float | None = None
    # Partial success: that many items, and why.
    rejected: int = 0
    message: str = ""


ACCEPT = Answer()
UNAVAILABLE = Answer(grpc_status=grpc.StatusCode.UNAVAILABLE, http_status=503)
PERMANENT = Answer(grpc_status=grpc.StatusCode.INVALID_ARGUMENT, http_status=400)


@dataclass(frozen=True)
class Export:
    """One export as it came."""

    signal: str
    transport: str
    at: float  # time.monotonic() on arrival
    body: bytes  # after decompression
    headers: dict[str, str]
    answer: Answer

    @property
    def accepted(self) -> bool:
        return self.answer.grpc_status is None and self.answer.http_status is None

    def request(self) -> Message:
        return otlp.parse(self.signal, self.body)


@dataclass
class Inbox:
    exports: list[Export] = field(default_factory=list)
    script: deque[Answer] = field(default_factory=deque)
    # What is answered once the script is empty.
    otherwise: Answer = ACCEPT
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, signal: str, transport: str, body: bytes, headers: dict[str, str]) -> Answer:
        with self.lock:
            answer = self.script.popleft() if self.script else self.otherwise
            self.exports.append(Export(signal, transport, time.monotonic(), body, headers, answer))
        if answer.delay_seconds:
            time.sleep(answer.delay_seconds)
        return answer


class Capture:
    """A receiver on one loopback port; `protocol` is `grpc` or `http/protobuf`, the words the sidecar's configuration uses."""

    def __init__(self, protocol: str, tls: tuple[Path, Path] | None = None):
        self.protocol = protocol
        self.inbox = Inbox()
        self.port = free_port()
        self.tls = tls

    def __enter__(self) -> "Capture":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listens. May be called again after `stop`: the port and the inbox stay."""
        if self.protocol == "grpc":
            self._server: Any = _start_grpc(self.inbox, self.port, self.tls)
        else:
            self._server = _start_http(self.inbox, self.port, self.tls)

    def stop(self) -> None:
        if self.protocol == "grpc":
            self._server.stop(grace=0.1).wait()
        else:
            self._server.shutdown()
            self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def destination(self, name: str = "downstream", **over: Any) -> dict[str, Any]:
        """An entry of the sidecar's `forward` that points here and passes the app's own items on untouched."""
        return {
            "name": name,
            "endpoint": self.endpoint,
            "protocol": self.protocol,
            "signals": ["traces", "metrics", "logs"],
            "compression": "none",
            "enrich": False,
        } | over

    def exports(self, signal: str) -> list[Export]:
        """Everything that came for this signal, refused or not, in order of arrival."""
        with self.inbox.lock:
            return [export for export in self.inbox.exports if export.signal == signal]

    def requests(self, signal: str) -> list[Message]:
        """The accepted requests of this signal."""
        return [export.request() for export in self.exports(signal) if export.accepted]

    def items(self, signal: str) -> Any:
        return otlp.items(signal, self.requests(signal))

    def wait_for_items(self, signal: str, count: int, within_seconds: float = 15.0) -> Any:
        """The items of this signal once at least `count` of them have been accepted."""

        def enough() -> Any:
            items = self.items(signal)
            assert items.total() >= count, f"{items.total()} of {count} {signal} arrived downstream"
            return items

        return eventually(enough, within_seconds)


def partial_success(service: otlp.Service, answer: Answer) -> Message:
    response = service.response()
    if answer.rejected or answer.message:
        setattr(response.partial_success, service.rejected, answer.rejected)
        response.partial_success.error_message = answer.message
    return response


def error_status(code: int, answer: Answer) -> status_pb2.Status:
    """`google.rpc.Status`, with RetryInfo where the answer names a delay."""
    status = status_pb2.Status(code=code, message="the capturing receiver was told to refuse")
    if answer.retry_after_seconds is not None:
        seconds = int(answer.retry_after_seconds)
        nanos = round((answer.retry_after_seconds - seconds) * 1e9)
        info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds, nanos=nanos))
        status.details.add().Pack(info)
    return status


class _GrpcHandler(grpc.GenericRpcHandler):
    def __init__(self, inbox: Inbox):
        self.inbox = inbox

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service = otlp.BY_GRPC_METHOD.get(details.method)
        if service is None:
            return None

        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {key: value for key, value in context.invocation_metadata()}
            answer = self.inbox.take(service.signal, "grpc", body, headers)
            if answer.grpc_status is not None:
                code: int = answer.grpc_status.value[0]
                status = error_status(code, answer)
                if status.details:
                    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
                context.abort(answer.grpc_status, status.message)
            return partial_success(service, answer).SerializeToString()

        # No (de)serializer: the handler sees the message's own bytes.
        return grpc.unary_unary_rpc_method_handler(export)


def _start_grpc(inbox: Inbox, port: int, tls: tuple[Path, Path] | None) -> grpc.Server:
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16),
        handlers=(_GrpcHandler(inbox),),
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)],
    )
    address = f"127.0.0.1:{port}"
    if tls is None:
        server.add_insecure_port(address)
    else:
        chain, key = tls
        server.add_secure_port(address, grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())]))
    server.start()
    return server


def decompressed(encoding: str, body: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    assert encoding in ("", "identity"), f"content-encoding {encoding!r}"
    return body


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    inbox: Inbox

    def do_POST(self) -> None:  # noqa: N802 (the name is http.server's)
        body = self._body()
        service = otlp.BY_HTTP_PATH.get(self.path)
        if service is None:
            self._send(404, "text/plain", b"no such signal")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = decompressed(headers.get("content-encoding", ""), body)
        if headers.get("content-type") == "application/json":
            body = otlp.parse_json(service.signal, body).SerializeToString(deterministic=True)
        answer = self.inbox.take(service.signal, "http", body, headers)
        if answer.http_status is not None:
            extra = {}
            if answer.retry_after_seconds is not None:
                extra["Retry-After"] = str(int(answer.retry_after_seconds))
            status = status_pb2.Status(code=14, message="the capturing receiver was told to refuse")
            self._send(answer.http_status, "application/x-protobuf", status.SerializeToString(), extra)
            return
        self._send(200, "application/x-protobuf", partial_success(service, answer).SerializeToString())

    def _body(self) -> bytes:
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, content_type: str, body: bytes, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the name is http.server's)
        pass


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event here; what a test expects to arrive it asserts by itself."""


def _start_http(inbox: Inbox, port: int, tls: tuple[Path, Path] | None) -> ThreadingHTTPServer:
    handler = type("Handler", (_HttpHandler,), {"inbox": inbox})
    server = _HttpServer(("127.0.0.1", port), handler)
    if tls is not None:
        chain, key = tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@contextmanager
def captures(*protocols: str) -> Iterator[list[Capture]]:
    """Several receivers at once."""
    started = [Capture(protocol) for protocol in protocols]
    try:
        for capture in started:
            capture.start()
        yield started
    finally:
        for capture in started:
            capture.stop()
