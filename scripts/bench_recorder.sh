#!/usr/bin/env bash
# Prints what recording costs, as ratios measured in one run, on one scheduler and on all.
# Writes: build products only.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$scripts/.."
"$scripts/setup.sh"
rebar3 as perf compile >/dev/null || rebar3 as perf compile || exit 2
exec erl -boot no_dot_erlang -noshell -pa _build/perf/lib/*/ebin -s router_bench_cost main
