#!/usr/bin/env bash
# Real clients send to a server of ours, and a query returns what they sent, line for line.
# Usage: run.sh [NARVI]; without the binary, the debug build. Installs the clients in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")"
bin=${1:-}
if [ -z "$bin" ]; then
    (cd ../.. && cargo build --quiet -p narvi-bin)
    bin=${CARGO_TARGET_DIR:-../../target}/debug/narvi
fi
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
cp package.json clients.mjs "$work/"
(cd "$work" && npm install --silent --no-audit --no-fund)
cargo build --quiet --locked --manifest-path tracing/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-../../target}/clients"

"$bin" serve --data-dir "$work/data" --http-listen 127.0.0.1:0 2>"$work/log" &
server=$!
for _ in $(seq 100); do
    url=$(sed -n 's/.* http=\([^ ]*\).*/http:\/\/\1/p' "$work/log" | head -1)
    [ -z "$url" ] || break
    kill -0 "$server" || { cat "$work/log"; exit 1; }
    sleep 0.1
done
for client in python-logging-loki otlp pino-loki winston-loki-json winston-loki-protobuf tracing-loki; do
    case $client in
        pino* | winston*) (cd "$work" && node clients.mjs "$client" "$url") ;;
        tracing*) "${CARGO_TARGET_DIR:-../../target}/clients/debug/narvi-client-tracing" "$url" ;;
        *) "$work/venv/bin/python" clients.py send "$client" "$url" ;;
    esac
    python3 clients.py check "$client" "$url"
done
