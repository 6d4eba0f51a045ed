#!/usr/bin/env bash
# Measures the router and judges it against the frozen baseline; see usage below.
# Writes: perf_baseline_*.json, perf_gate_*.log, perf_summary_*.md, perf_verdict_*.json in
# $ARTIFACTS_DIR.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/perf_gate.sh [--help]

Measures the router in its own BEAM and judges it against the frozen baseline.

Exit code: 0 PASS, 1 REGRESSION, 2 INVALID (a file or a setting is missing or wrong, or the run
failed), 3 INCONCLUSIVE, 4 INCOMPARABLE (another environment), 130 or 143 when interrupted.

Settings (environment variables; an empty one counts as unset):
  CANDIDATE_FILE        judge this report instead of measuring; a glob means its newest match
  BASELINE_FILE         the frozen report                        [perf/baseline_cp1.json]
  POLICY_FILE           the policy                               [perf/policy_cp1.json]
  ARTIFACTS_DIR         where reports and verdicts go            [_artifacts]
  PERF_ADAPTER          the adapter module that knows the router [ref_router_adapter]
  PERF_MODE             smoke (3 rounds) or gate (10 rounds)     [smoke in a merge or pull request,
                                                                  else gate]
  PERF_ROUNDS           rounds, each in a fresh BEAM             [by PERF_MODE]     1 to 1000
  PERF_WARMUP_MS        least discarded load before each round,  [1000]             10 to 600000
                        5 times that until throughput is steady
  PERF_THROUGHPUT_MS    closed-loop phase of a round             [2000]             10 to 600000
  PERF_LATENCY_MS       open-loop phase of a round               [5000]             10 to 600000
  PERF_RATE             arrivals a second in the open loop       [the baseline's]   1 to 1000000
  PERF_CONCURRENCY      workers of the closed loop               [16]               1 to 10000
  PERF_TIMEOUT_SECONDS  time limit of the benchmark              [900]              10 to 86400
  PERF_FAULT            plant a fault to see the gate fail: delay_us=N error_ratio=R leak_bytes=N
                        backpressure=1 crash_after=N             [none]
TEXT
}

case "${1:-}" in
  "") ;;
  --help | -h) usage; exit 0 ;;
  *) echo "perf_gate.sh: unknown argument $1; settings are environment variables" >&2
     usage >&2; exit 2 ;;
esac

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"

root=$(cd "$scripts/.." && pwd)
stamp=$(date -u +%Y%m%dT%H%M%SZ)-$$
artifacts=$(absolute "${ARTIFACTS_DIR:-_artifacts}")
baseline=$root/perf/baseline_cp1.json
policy=$root/perf/policy_cp1.json
[ -z "${BASELINE_FILE:-}" ] || baseline=$(absolute "$BASELINE_FILE")
[ -z "${POLICY_FILE:-}" ] || policy=$(absolute "$POLICY_FILE")
candidate=
[ -z "${CANDIDATE_FILE:-}" ] || candidate=$(absolute "$CANDIDATE_FILE")

"$scripts/setup.sh"
cd "$root"
cargo build --quiet --locked --release --package perf-gate

bench_status=0
interrupted=0
if [ -z "$candidate" ]; then
  # Chosen once, for the baseline. One that cannot be read is the gate's to say, below.
  if [ -z "${PERF_RATE:-}" ]; then
    PERF_RATE=$("${CARGO_TARGET_DIR:-target}/release/perf-gate" rate --baseline "$baseline" \
      2>/dev/null) || PERF_RATE=
    export PERF_RATE
  fi
  # A new name: what an earlier run left can never be judged as this run's.
  candidate=$artifacts/perf_baseline_$stamp.json
  run_child env PERF_REPORT_FILE="$candidate" "$scripts/bench_router.sh"
  bench_status=$child_status
fi

gate_status=0
"${CARGO_TARGET_DIR:-target}/release/perf-gate" check --baseline "$baseline" --policy "$policy" \
  --candidate "$candidate" --artifacts "$artifacts" --label "$stamp" || gate_status=$?

if [ "$interrupted" -ne 0 ]; then
  exit "$interrupted"
elif [ "$bench_status" -ne 0 ] && [ "$gate_status" -eq 0 ]; then
  echo "perf_gate.sh: the benchmark failed with $bench_status, so its report proves nothing" >&2
  exit 2
fi
exit "$gate_status"
