#!/usr/bin/env bash
# Prints the load that several drivers reach together, and what one conductor can hold.
# Exit: 0 printed, 2 it cannot be built. Writes: what building writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/setup.sh
rebar3 as perf compile >/dev/null || rebar3 as perf compile || exit 2
exec erl -boot no_dot_erlang -noshell +sbwt none +sbwtdcpu none +sbwtdio none -pa _build/perf/lib/*/ebin \
  -s router_bench_scale main
