#!/usr/bin/env bash
# Prints a folder with SeaweedFS and moto, the object stores that tests start. Installs them there first if need be.
# Usage: PATH=$PATH:$(tools/servers/stores.sh)
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/stores")
wanted=tools/servers/requirements.txt
if ! cmp --silent "$wanted" "$folder/installed.txt"; then
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
    cp "$wanted" "$folder/installed.txt"
fi
echo "$folder/bin"
