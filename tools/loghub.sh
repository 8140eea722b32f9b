#!/usr/bin/env bash
# Loads every file of a folder with `narvi ingest` and compares what `narvi query -o raw` gives with it, byte for byte.
# Usage: loghub.sh FOLDER (plain and gzip files).
set -euo pipefail
folder=$(realpath "$1")
cd "$(dirname "$0")/.."
bin=${NARVI_BIN:-}
if [ -z "$bin" ]; then
    cargo build --quiet -p narvi-bin
    bin=${CARGO_TARGET_DIR:-target}/debug/narvi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
same=0 differ=0
for file in "$folder"/*.log "$folder"/*.log.gz; do
    [ -f "$file" ] || continue
    "$bin" ingest --quiet --data-dir "$work/data" "$file"
    "$bin" query "{filename=\"$file\"}" --data-dir "$work/data" --forward -o raw > "$work/back"
    case $file in *.gz) gzip -dc "$file" ;; *) cat "$file" ;; esac > "$work/given"
    if cmp -s "$work/given" "$work/back"; then
        same=$((same + 1))
    else
        differ=$((differ + 1))
        echo "differs: $file"
    fi
done
"$bin" check "$work/data" > /dev/null
echo "$same files came back byte for byte, $differ did not"
[ "$differ" = 0 ] && [ "$same" -gt 0 ]
