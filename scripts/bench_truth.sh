#!/usr/bin/env bash
# Prints whether the bench reads routers whose latency is known as they are.
# Exit: 0 if all of them, 1 if not, 2 if it cannot be built. Writes: what building writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/setup.sh
rebar3 as perf compile >/dev/null || rebar3 as perf compile || exit 2
exec erl -boot no_dot_erlang -noshell +sbwt none +sbwtdcpu none +sbwtdio none -pa _build/perf/lib/*/ebin \
  -s router_bench_truth main
