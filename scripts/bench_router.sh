#!/usr/bin/env bash
# Measures a router: runs the benchmark suite under a time limit and leaves its report.
#
# Usage: scripts/bench_router.sh            (settings: scripts/perf_gate.sh --help)
# Exit: 0 measured; 2 a setting is wrong; otherwise the code of the test run, 124 on timeout.
# Writes: $ARTIFACTS_DIR/perf_baseline_<time>.json, or the file that PERF_REPORT_FILE names.
#
# The report is on disk from the start, marked unfinished, and at last carries the exit code of the
# test run: whatever kills the run, no reader can take what is left for a finished one.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"

artifacts=$(absolute "${ARTIFACTS_DIR:-_artifacts}")
report=$(absolute "${PERF_REPORT_FILE:-$artifacts/perf_baseline_$(date -u +%Y%m%dT%H%M%SZ).json}")
cd "$scripts/.."

if [ -e "$report" ]; then
  echo "bench_router.sh: $report exists; a report is never overwritten" >&2
  exit 2
fi
"$scripts/setup.sh"
cargo build --quiet --locked --release --package perf-gate
rebar3 as perf compile >/dev/null || { rebar3 as perf compile; exit 1; }

settings=$(erl -noshell -pa _build/perf/lib/router_bench/ebin -s router_bench_settings main) \
  || { echo "bench_router.sh: nothing was measured" >&2; exit 2; }
timeout_seconds=${settings#timeout_seconds=}

# One benchmark at a time on a host: two would measure each other.
lock="${TMPDIR:-/tmp}/cp1_perf_gate.lock"
exec 9>>"$lock"
chmod a+rw "$lock" 2>/dev/null || true
if ! flock --nonblock 9; then
  echo "bench_router.sh: another benchmark runs on this host; waiting for $lock"
  flock --timeout "$timeout_seconds" 9 \
    || { echo "bench_router.sh: it still runs after $timeout_seconds s" >&2; exit 2; }
fi

export PERF_REPORT_FILE="$report"
run_child timeout --signal=TERM --kill-after=10 "$timeout_seconds" rebar3 as perf ct --readable=true
if [ "$interrupted" -ne 0 ]; then
  child_status=$interrupted
elif [ "$child_status" -eq 124 ] || [ "$child_status" -eq 137 ]; then
  echo "bench_router.sh: stopped after $timeout_seconds s (PERF_TIMEOUT_SECONDS)" >&2
  child_status=124
fi

for measured in "${PERF_REPLAY_REPORT_FILE:-}" "$report"; do
  if [ -n "$measured" ] && [ -e "$measured" ]; then
    "${CARGO_TARGET_DIR:-target}/release/perf-gate" seal --report "$measured" \
      --ct-exit-code "$child_status"
  fi
done
if [ -e "$report" ]; then
  echo "report: $report"
elif [ "$child_status" -eq 0 ]; then
  echo "bench_router.sh: the test run succeeded and left no report" >&2
  child_status=1
fi
exit "$child_status"
