#!/usr/bin/env bash
# Starts the deployments of this folder as processes on this machine, one after the other, and pushes, queries and tails through
# their gateways: tools/deployed.py says how. Usage: run.sh [NARVI]; without the binary, the debug build. Needs root, the
# programs of tools/servers on the PATH, and, for values files that people have for Loki's charts, NARVI_DEPLOYMENTS.
set -euo pipefail
cd "$(dirname "$0")/.."
narvi=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/narvi}")
PATH=$(deploy/checks/install.sh):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "${NARVI_DEPLOYMENTS:-}" ]; then
    # Those with an object store that all processes share.
    for values in simple-scalable microservices-minio; do
        helm template loki deploy/helm/narvi --namespace logging -f "$NARVI_DEPLOYMENTS/$values.values.yaml" \
            > "$work/chart-$values.yaml"
    done
fi
cp deploy/kubernetes/microservices/narvi.yaml "$work/kubernetes-microservices.yaml"
python -B tools/deployed.py --bin "$narvi" deploy/compose/{simple-scalable,microservices}.yaml "$work"/*.yaml
