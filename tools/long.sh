#!/usr/bin/env bash
# The long forms of tests: a hundred crashes, property tests with many cases, a minute of load, minutes of fuzzing per target.
# Usage: long.sh [crash|cases|load|fuzz]...; all of them without an argument.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- crash cases load fuzz
for what; do
    case $what in
        crash) NARVI_CRASH_ROUNDS=100 cargo test --release -p narvi-bin --test it crash:: -- --nocapture ;;
        cases) PROPTEST_CASES=20000 cargo test --workspace ;;
        load)
            cargo build --release -p narvi-bin
            tools/load.py --bin "${CARGO_TARGET_DIR:-target}/release/narvi"
            ;;
        fuzz) fuzz/run.sh 600 ;;
        *) echo "unknown: $what" >&2; exit 2 ;;
    esac
done
