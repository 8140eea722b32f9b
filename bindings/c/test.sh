#!/usr/bin/env bash
# Builds the C library, compiles the test program against the header, and runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet -p narvi-c
target=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -std=c11 -Wall -Wextra -Werror -Ibindings/c/include bindings/c/tests/roundtrip.c \
    -o "$work/roundtrip" "$target/libnarvi_c.a" -lpthread -ldl -lm
"$work/roundtrip" "$work/store"
