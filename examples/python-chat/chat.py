#!/usr/bin/env python3
"""A chat program with OpenTelemetry instrumentation and nothing of Qiyas in it.

It asks a model through the `openai` client: whole answers, streams, an embedding, and a call that the server refuses. The
telemetry goes where the standard variables say, by default to a sidecar on 127.0.0.1:4317.
"""

import argparse
import os

import openai
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

INSTRUMENTATIONS = ("openai-v2", "openinference")


def providers(resource: Resource) -> tuple[TracerProvider, MeterProvider, LoggerProvider]:
    """The SDK as its documentation sets it up. OTEL_EXPORTER_OTLP_PROTOCOL chooses gRPC (default) or http/protobuf."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    elif protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    else:
        raise SystemExit(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, expected grpc or http/protobuf")
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    trace.set_tracer_provider(tracers)
    set_meter_provider(meters)
    set_logger_provider(loggers)
    return tracers, meters, loggers


def instrument(instrumentation: str) -> None:
    if instrumentation == "openai-v2":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    else:
        from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()


def ask(client: openai.OpenAI, model: str, question: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
    print(f"{model}: {answer.choices[0].message.content}")


def ask_streaming(client: openai.OpenAI, model: str, question: str) -> None:
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    print(f"{model}: ", end="")
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    print()


def ask_and_be_refused(client: openai.OpenAI, model: str, question: str, status: int) -> None:
    try:
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            extra_headers={"X-Stand-In-Status": str(status)},
        )
    except openai.APIStatusError as refusal:
        print(f"{model}: refused with {refusal.status_code}")


def converse(client: openai.OpenAI, rounds: int) -> None:
    for _ in range(rounds):
        ask(client, "gpt-4o-mini", "What does a sidecar do?")
        ask(client, "gpt-5", "And what does it cost?")
        ask_streaming(client, "gpt-4o-mini", "Say it slowly.")
        client.embeddings.create(model="text-embedding-3-small", input="a sidecar measures")
        ask_and_be_refused(client, "gpt-4o-mini", "Too many at once?", 429)
    ask_and_be_refused(client, "gpt-5", "Broken?", 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instrumentation", choices=INSTRUMENTATIONS, default="openai-v2")
    parser.add_argument("--base-url", default="http://127.0.0.1:8399/v1", help="the OpenAI-compatible server")
    parser.add_argument("--rounds", type=int, default=2, help="how often to go through the conversation (default: 2)")
    arguments = parser.parse_args()

    name = os.environ.get("OTEL_SERVICE_NAME", f"python-chat-{arguments.instrumentation}")
    started = providers(Resource.create({"service.name": name}))
    instrument(arguments.instrumentation)
    # No retries: each call of this program is one request of the server's ledger.
    client = openai.OpenAI(base_url=arguments.base_url, api_key="not-needed-here", max_retries=0)
    try:
        converse(client, arguments.rounds)
    finally:
        for provider in started:
            provider.shutdown()


if __name__ == "__main__":
    main()
