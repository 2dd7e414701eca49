#!/usr/bin/env bash
# One AI call as OTLP/JSON, by curl. Start a sidecar first (`make run`); OTEL_EXPORTER_OTLP_ENDPOINT points elsewhere.
set -euo pipefail

endpoint=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:4318}
end=$(date +%s%N)
start=$((end - 1200000000))
id=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')

curl --fail-with-body --silent --show-error "$endpoint/v1/traces" -H 'Content-Type: application/json' -d @- <<JSON
{"resourceSpans": [{
  "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "curl"}}]},
  "scopeSpans": [{"spans": [{
    "traceId": "${id:0:32}", "spanId": "${id:32:16}", "name": "chat gpt-4o-mini", "kind": 3,
    "startTimeUnixNano": "$start", "endTimeUnixNano": "$end",
    "attributes": [
      {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
      {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
      {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
      {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
      {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "200"}}
    ]
  }]}]
}]}
JSON
echo
echo "What the sidecar measured: curl -s http://127.0.0.1:9464/metrics | grep 'job=\"curl\"'"
