#!/usr/bin/env bash
# Checks everything in deploy/ as far as that goes without Docker and Kubernetes. Usage: check.sh [NARVI]; without the
# binary, the debug build. Needs promtool and nginx on the PATH (tools/servers/debian.sh); the other programs it installs in
# target/deploy-checks. NARVI_DEPLOYMENTS is a folder with values files that people have for Loki's charts.
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
# Each file is right for nginx.
nginx_configurations() {
    for file in compose/config/*.nginx.conf; do
        nginx -e stderr -t -c "$PWD/$file" || return
    done
}

cd deploy
quietly yamllint --strict -c checks/yamllint.yaml .
say 'yamllint' 'all YAML files'

quietly shellcheck ./*.sh checks/*.sh kubernetes/*.sh
say 'shellcheck' 'all scripts'

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

cmp observability/rules.yaml helm/narvi/files/rules.yaml
cmp observability/dashboard.json helm/narvi/files/dashboard.json
python observability/dashboard.py | cmp - observability/dashboard.json
quietly promtool check rules observability/rules.yaml
say 'promtool check' "$(grep -o '[0-9]* rules found' "$work/output")"
quietly promtool test rules observability/rules.test.yaml
say 'promtool test' 'observability/rules.test.yaml'
python "$checks/metrics.py" --rules observability/dashboard.json > "$work/panels.yaml"
quietly promtool check rules "$work/panels.yaml"
say 'queries of the dashboard' "$(grep -o '[0-9]* rules found' "$work/output")"
quietly python "$checks/metrics.py" "$narvi" observability/dashboard.json observability/rules.yaml
say 'names of metrics' "$(cat "$work/output")"

mkdir "$work/chart" "$work/kubernetes"
quietly python "$checks/chart.py" helm helm/narvi "$work/chart" ${NARVI_DEPLOYMENTS:+"$NARVI_DEPLOYMENTS"}
say 'helm lint and template' "$(tail -1 "$work/output")"
quietly kubernetes/render.sh --check
for folder in kubernetes/*/; do
    kubectl kustomize "$folder" > "$work/kubernetes/$(basename "$folder").yaml"
    say 'kubectl kustomize' "$folder"
done
for kind in chart kubernetes; do
    quietly python "$checks/manifests.py" "$narvi" "$(command -v nginx)" "$work" "$work/$kind"/*.yaml
    say "manifests of the $kind" "$(cat "$work/output")"
done
quietly nginx_configurations
say 'nginx -t' 'compose/config/*.nginx.conf'
