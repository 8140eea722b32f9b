#!/usr/bin/env bash
# Checks everything in deploy/ as far as that goes without Docker and Kubernetes. Usage: check.sh [NARVI]; without the
# binary, the debug build. Programs that it needs are installed in target/deploy-checks.
set -euo pipefail
cd "$(dirname "$0")/.."
narvi=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/narvi}")
checks=$PWD/deploy/checks
PATH=$("$checks/install.sh"):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '%-28s %s\n' "$1:" "$2"; }
# Runs a check whose output matters only if it fails.
quietly() { "$@" > "$work/output" 2>&1 || { cat "$work/output"; echo "failed: $*"; exit 1; }; }

cd deploy
quietly yamllint --strict -c checks/yamllint.yaml .
say 'yamllint' 'all YAML files'

quietly hadolint -c docker/hadolint.yaml docker/Dockerfile
say 'hadolint' 'docker/Dockerfile'
quietly python "$checks/context.py"
say 'docker context' "$(cat "$work/output")"

for file in docker/local-config.yaml compose/config/{single,simple-scalable,microservices}.yaml; do
    quietly "$narvi" "-config.file=$file" -verify-config
    say 'narvi -verify-config' "$file, $(grep -c ^warning: "$work/output" || true) warnings"
done
for file in compose/*.yaml; do
    quietly check-jsonschema --builtin-schema vendor.compose-spec "$file"
    quietly python "$checks/compose.py" "$file"
    say 'compose schema and names' "$file"
done
