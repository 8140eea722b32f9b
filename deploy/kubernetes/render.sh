#!/usr/bin/env bash
# Makes the plain manifests out of the chart, so that the two cannot differ. Usage: render.sh [--check]; --check only looks
# whether they are as they would be made. Needs helm.
set -euo pipefail
cd "$(dirname "$0")"
for form in single microservices; do
    made=$(mktemp)
    {
        echo '# Made by deploy/kubernetes/render.sh from the chart with values.yaml: change those.'
        # Without what only Helm reads.
        helm template narvi ../helm/narvi --namespace logging -f "$form/values.yaml" \
            | sed -e '/^# Source: /d' -e '/helm.sh\/chart: /d' -e 's/managed-by: Helm/managed-by: kustomize/'
    } > "$made"
    if [ "${1:-}" = --check ]; then
        diff -u "$form/narvi.yaml" "$made" || { echo "$form/narvi.yaml is old: run deploy/kubernetes/render.sh"; exit 1; }
        rm "$made"
    else
        mv "$made" "$form/narvi.yaml"
        chmod 644 "$form/narvi.yaml"
    fi
done
