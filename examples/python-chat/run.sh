#!/usr/bin/env bash
# Starts the stand-in model server and talks to it twice, once under each instrumentation. Start a sidecar first
# (`make run`); the standard OTEL_EXPORTER_OTLP_* variables point the program elsewhere. Arguments go to chat.py.
set -euo pipefail
cd "$(dirname "$0")"

if ! [ .venv/.installed -nt requirements.txt ]; then
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    touch .venv/.installed
fi

server_log=$(mktemp)
.venv/bin/python model_server.py --port 0 >"$server_log" &
server=$!
trap 'kill "$server" 2>/dev/null; rm -f "$server_log"' EXIT
for _ in $(seq 100); do
    url=$(sed -n 's/^model server on //p' "$server_log")
    [ -n "$url" ] && break
    sleep 0.05
done
[ -n "$url" ] || { echo "the stand-in model server did not start" >&2; exit 1; }

for instrumentation in openai-v2 openinference; do
    echo "== $instrumentation"
    .venv/bin/python chat.py --instrumentation "$instrumentation" --base-url "$url" "$@"
done

echo
echo "What the model server handed out:"
.venv/bin/python - "${url%/v1}/ledger" <<'PYTHON'
import collections, json, sys, urllib.request

calls = json.load(urllib.request.urlopen(sys.argv[1], timeout=5))
by_model = collections.defaultdict(list)
for call in calls:
    by_model[call["model"]].append(call)
for model, its in sorted(by_model.items()):
    refused = sum(call["status"] != 200 for call in its)
    told = [sum(call[field] for call in its) for field in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")]
    print(f"  {model}: {len(its)} calls, {refused} refused; tokens: %d in (%d of them cached), %d out (%d of them reasoning)" % tuple(told))
PYTHON
echo "What the sidecar measured: curl -s http://127.0.0.1:9464/metrics | grep '^qiyas_ai_'"
