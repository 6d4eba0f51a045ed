#!/usr/bin/env bash
# Looks for memory errors of the native half with AddressSanitizer: the recorder's tests, then random calls of
# the NIF while processes are killed in the middle of them and its module is reloaded.
#
# Usage: scripts/sanitize.sh [SECONDS]      (of random calls; 60)
# Exit: 0 nothing was found; 2 wrong usage, or something is missing; else what was found is printed.
# Settings: NIF_FUZZ_SEED, for the terms.
# Writes: target/asan/, _build/asan/.
#
# The flag is an unstable one of rustc, which RUSTC_BOOTSTRAP allows on any; the runtime is that of gcc. What the
# emulator itself does with its memory is not looked at. ThreadSanitizer needs a standard library that was built
# with it (-Zbuild-std): without one it reports the channel of the test harness. loom checks the interleavings.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"
seconds=${1:-60}
[[ $# -le 1 && $seconds =~ ^[1-9][0-9]{0,5}$ ]] || {
  echo "sanitize.sh: usage: scripts/sanitize.sh [SECONDS]" >&2
  exit 2
}
runtime=$(gcc -print-file-name=libasan.so)
[ -e "$runtime" ] || { echo "sanitize.sh: gcc has no libasan; install its libasan package" >&2; exit 2; }
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}/asan
# What the VM holds until its end is no leak of this library.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1

sanitized() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
    cargo "$1" --locked --target "$host" --target-dir "$target" "${@:2}"
}
sanitized test --package latency_recorder
sanitized build --package router_bench_nif

rm -rf _build/asan
bench=_build/asan/router_bench
mkdir -p "$bench/ebin" "$bench/priv"
erlc -o "$bench/ebin" erlang/router_bench/src/router_bench_nif.erl \
  erlang/router_bench/test/router_bench_nif_fuzz.erl
cp "$target/$host/debug/librouter_bench_nif.so" "$bench/priv/"
fuzz="Told = router_bench_nif_fuzz:run(#{seed => ${NIF_FUZZ_SEED:-$RANDOM}, duration_ms => $seconds * 1000,
    directory => <<\"$root/_build/asan\">>}), io:format(\"~0p~n\", [Told]),
  #{faults := []} = Told, halt(0)."
LD_PRELOAD=$(readlink -f "$runtime") erl -noshell -boot no_dot_erlang +S 4 +SDcpu 4 +SDio 4 \
  -pa "$bench/ebin" -eval "$fuzz"
