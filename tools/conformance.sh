#!/usr/bin/env bash
# Starts the server on a conformance suite's own configuration, pushes its dataset and runs it.
# Usage: conformance.sh SUITE [options of run.py]. The categories that have to pass in full stand in tools/conformance.txt.
# Without options, or with "--profile federation", the cases that need queries over several tenants run on a server of their
# own that allows them.
set -euo pipefail
suite=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
bin=${NARVI_BIN:-}
if [ -z "$bin" ]; then
    cargo build --quiet -p narvi-bin
    bin=${CARGO_TARGET_DIR:-target}/debug/narvi
fi
# Starts a server on the suite's file, changed by a sed expression, and runs what is asked for.
run() {
    local change=$1
    shift
    data=$(mktemp -d)
    read -r http grpc < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')
    sed -e "s|@DATA@|$data|g" -e "s|@HTTP@|$http|g" -e "s|@GRPC@|$grpc|g" -e "$change" "$suite/loki.yaml.tmpl" \
        > "$data/loki.yaml"
    "$bin" -config.file="$data/loki.yaml" 2> "$data/log" &
    server=$!
    for _ in $(seq 100); do
        if python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$http/ready')" 2> /dev/null; then
            break
        fi
        kill -0 "$server" || { cat "$data/log"; exit 1; }
        sleep 0.1
    done
    local failed=0
    python3 "$suite/run.py" --url "http://127.0.0.1:$http" --push "$@" || failed=$?
    stop
    return "$failed"
}
stop() {
    kill "$server" 2> /dev/null || true
    wait "$server" 2> /dev/null || true
    rm -rf "$data"
}
server= data=
trap stop EXIT
tenants='s|^querier:$|querier:\n  multi_tenant_queries_enabled: true|'
case " $* " in
*" --profile federation "*)
    run "$tenants" "$@"
    ;;
"  ")
    categories=$(grep -v '^#' tools/conformance.txt | paste -sd'|')
    run '' --category "^($categories)\$"
    run "$tenants" --profile federation
    ;;
*)
    run '' "$@"
    ;;
esac
