#!/usr/bin/env bash
# Builds all fuzz targets and runs each, or those named, for so many seconds:
#
#   fuzz/run.sh SECONDS [TARGET...]     fuzz
#   fuzz/run.sh again TARGET FILE...    run single inputs, such as findings
#   fuzz/run.sh seeds                   write the seeds of the binary formats anew
#
# Needs the stable toolchain and a C++ compiler, nothing else. New inputs go to a temporary folder, so that the tree stays
# clean; what breaks a target is kept in fuzz/artifacts/TARGET and fails the run.
set -euo pipefail
cd "$(dirname "$0")"

what=${1:?usage: fuzz/run.sh SECONDS [TARGET...] | again TARGET FILE... | seeds}
shift
case $what in again | seeds) ;; *[!0-9]*) echo "not a number of seconds: $what" >&2; exit 2 ;; esac

# Edge counters and traced comparisons, as libFuzzer wants them. With --target, build scripts are spared.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage=-Cllvm-args=-sanitizer-coverage
export RUSTFLAGS="-Cpasses=sancov-module $coverage-level=4 $coverage-inline-8bit-counters $coverage-pc-table \
$coverage-trace-compares"
cargo build --release --bins --target "$host"
bin=${CARGO_TARGET_DIR:-target}/$host/release

if [ "$what" = seeds ]; then
    exec "$bin/seeds"
elif [ "$what" = again ]; then
    target=$1
    shift
    exec "$bin/$target" -rss_limit_mb=2048 "$@"
fi

# The longest input: more than any seed of the target, and short enough for many executions.
longest() {
    case $1 in
        pack | index | wal) echo 16384 ;;
        regex) echo 256 ;;
        logql | template) echo 1024 ;;
        *) echo 4096 ;;
    esac
}

if [ $# -eq 0 ]; then
    set -- $(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' Cargo.toml | grep -vx seeds)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
row() { printf '%-12s %12s %8s %8s %8s %8s %8s %8s\n' "$@"; }
# Edges of the program reached by the seeds, and by the end of the run; inputs that reached something new.
row target executions per_s seeds edges inputs peak_mb result
for target; do
    mkdir -p "$work/$target" "artifacts/$target"
    cp "corpus/$target/"* "$work/$target/"
    log=$work/$target.log
    result=ok
    "$bin/$target" -max_total_time="$what" -rss_limit_mb=2048 -timeout=20 -max_len="$(longest "$target")" \
        -artifact_prefix="artifacts/$target/" -print_final_stats=1 "$work/$target" >"$log" 2>&1 || result=FAILED
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    edges() { grep "$1" "$log" | grep -o 'cov: [0-9]*' | tail -1 | grep -o '[0-9]*$' || echo -; }
    row "$target" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
        "$(edges INITED)" "$(edges cov:)" \
        "$(stat new_units_added)" "$(stat peak_rss_mb)" "$result"
    if [ "$result" != ok ]; then
        failed=1
        tail -40 "$log"
    fi
    rmdir "artifacts/$target" 2>/dev/null || true
done
exit $failed
