#!/usr/bin/env python3
"""A stand-in for an OpenAI-compatible model server: no network, no key, and every answer known in advance.

Serves `POST /v1/chat/completions` (whole or streamed) and `POST /v1/embeddings`. Usage depends on the model alone (table
below), the time to answer is fixed, and a request with the header `X-Stand-In-Status: 429` (or 500) is refused with that
status. `GET /ledger` tells what was handed out, to compare with what was measured.
"""

import argparse
import itertools
import json
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER_SECONDS = 0.040
FIRST_CHUNK_SECONDS = 0.030
BETWEEN_CHUNKS_SECONDS = 0.010
WORDS = ["It", "measures", "what", "your", "program", "already", "tells", "it."]


@dataclass(frozen=True)
class Model:
    """What a model answers as, and the tokens that each of its answers costs. Input includes cached, output reasoning."""

    dated: str
    input: int
    cached: int
    output: int
    reasoning: int


MODELS = {
    "gpt-4o-mini": Model("gpt-4o-mini-2024-07-18", input=1200, cached=400, output=150, reasoning=0),
    "gpt-5": Model("gpt-5-2025-08-07", input=2006, cached=1920, output=300, reasoning=128),
    "text-embedding-3-small": Model("text-embedding-3-small", input=64, cached=0, output=0, reasoning=0),
}


@dataclass(frozen=True)
class Call:
    """One line of the ledger. `usage_told`: whether the client was told the tokens (a stream tells only if asked)."""

    model: str
    kind: str
    streaming: bool
    status: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usage_told: bool
    seconds: float


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def lines(self) -> list[dict]:
        with self._lock:
            return [asdict(call) for call in self._calls]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ledger = Ledger()
    numbers = itertools.count(1)

    def do_GET(self) -> None:  # noqa: N802 (the name is http.server's)
        if self.path == "/ledger":
            self.send_json(200, self.ledger.lines())
        else:
            self.send_json(404, {"error": {"message": f"no route {self.path}"}})

    def do_POST(self) -> None:  # noqa: N802
        started = time.perf_counter()
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            name = asked["model"]
        except (ValueError, KeyError, TypeError):
            self.send_json(
                400, {"error": {"message": "expected a JSON object with a model", "type": "invalid_request_error"}}
            )
            return
        kind = {"/v1/chat/completions": "chat", "/v1/embeddings": "embeddings"}.get(self.path)
        model = MODELS.get(name)
        if kind is None or model is None:
            self.send_json(404, {"error": {"message": f"no {self.path} for {name}", "type": "invalid_request_error"}})
            return
        streaming = kind == "chat" and bool(asked.get("stream"))
        status = int(self.headers.get("X-Stand-In-Status", "200"))
        usage_told = status == 200 and (not streaming or bool((asked.get("stream_options") or {}).get("include_usage")))
        if status != 200:
            time.sleep(ANSWER_SECONDS)
            self.send_json(status, {"error": {"message": f"the stand-in was asked for {status}", "type": "stand_in"}})
        elif kind == "embeddings":
            time.sleep(ANSWER_SECONDS)
            self.send_json(200, embeddings(model, asked["input"]))
        elif streaming:
            self.stream(model, usage_told)
        else:
            time.sleep(ANSWER_SECONDS)
            self.send_json(200, completion(next(self.numbers), model))
        answered = status == 200
        self.ledger.add(
            Call(
                model=name,
                kind=kind,
                streaming=streaming,
                status=status,
                input_tokens=model.input if answered else 0,
                cached_tokens=model.cached if answered else 0,
                output_tokens=model.output if answered else 0,
                reasoning_tokens=model.reasoning if answered else 0,
                usage_told=usage_told,
                seconds=time.perf_counter() - started,
            )
        )

    def stream(self, model: Model, with_usage: bool) -> None:
        head = {
            "id": f"chatcmpl-{next(self.numbers)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model.dated,
        }
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        time.sleep(FIRST_CHUNK_SECONDS)
        for position, word in enumerate(WORDS):
            if position:
                time.sleep(BETWEEN_CHUNKS_SECONDS)
            delta = {"content": word if position == 0 else f" {word}"} | (
                {"role": "assistant"} if position == 0 else {}
            )
            self.send_event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self.send_event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if with_usage:
            self.send_event(head | {"choices": [], "usage": usage(model)})
        self.send_chunk(b"data: [DONE]\n\n")
        self.send_chunk(b"")

    def send_event(self, event: dict) -> None:
        self.send_chunk(f"data: {json.dumps(event)}\n\n".encode())

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def send_json(self, status: int, body: object) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Silent: the ledger is the record."""


def usage(model: Model) -> dict:
    return {
        "prompt_tokens": model.input,
        "completion_tokens": model.output,
        "total_tokens": model.input + model.output,
        "prompt_tokens_details": {"cached_tokens": model.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": model.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(number: int, model: Model) -> dict:
    message = {"role": "assistant", "content": " ".join(WORDS), "refusal": None}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model.dated,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(model),
    }


def embeddings(model: Model, asked: str | list) -> dict:
    count = len(asked) if isinstance(asked, list) else 1
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": [0.5, -0.25, 0.125]} for i in range(count)],
        "model": model.dated,
        "usage": {"prompt_tokens": model.input, "total_tokens": model.input},
    }


def serve(port: int) -> ThreadingHTTPServer:
    """Listens on 127.0.0.1; port 0 takes a free one."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=8399, help="0 takes a free one (default: 8399)")
    server = serve(arguments.parse_args().port)
    print(f"model server on http://127.0.0.1:{server.server_port}/v1", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
