#!/usr/bin/env bash
# Measures several sessions of the router, for a new baseline.
#
# Usage: scripts/measure_sessions.sh [SESSIONS [PAUSE_SECONDS]]    (3 sessions, 60 s between them)
# Exit: 0 with the options for perf-gate freeze or bump; otherwise the code of the first session that
# could not be measured, or 1 with the reasons of the first that no baseline could have.
# Settings: those of scripts/bench_router.sh; PERF_BLOCKS [7] blocks a session, PERF_RATE and
# PERF_CONCURRENCY [calibrated by the first session].
# Writes: $ARTIFACTS_DIR/perf_baseline_<time>.json, one for each session.
#
# Sessions on different days, or after a restart of the machine, say more about how sessions differ
# than sessions in a row: measure them apart with bench_router.sh, under the same load, if you can.
set -euo pipefail

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
esac
[[ "$#" -le 2 && "${1:-3}" =~ ^[1-9][0-9]?$ && "${2:-60}" =~ ^[0-9]{1,5}$ ]] \
  || { usage >&2; exit 2; }
sessions=${1:-3}
pause=${2:-60}
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
artifacts=$(absolute "${ARTIFACTS_DIR:-_artifacts}")
cd "$scripts/.."

if [ -n "$(git status --porcelain)" ]; then
  echo "measure_sessions.sh: the work tree is not clean, so no commit is what would be measured" >&2
  exit 2
fi
export PERF_BLOCKS=${PERF_BLOCKS:-7} PERF_MODE=gate
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
options=
for ((number = 1; number <= sessions; number++)); do
  [ "$number" -eq 1 ] || sleep "$pause"
  report=$artifacts/perf_baseline_$(date -u +%Y%m%dT%H%M%SZ)-$$.json
  echo "session $number of $sessions"
  run_child env PERF_REPORT_FILE="$report" "$scripts/bench_router.sh"
  [ "$interrupted" -eq 0 ] || exit "$interrupted"
  [ "$child_status" -eq 0 ] || exit "$child_status"
  "$gate" usable --session "$report" || exit 1
  # The first session's load is that of all.
  load=$("$gate" load --baseline "$report")
  read -r PERF_RATE PERF_CONCURRENCY <<<"$load"
  export PERF_RATE PERF_CONCURRENCY
  options="$options --session ${report#"$PWD"/}"
done
echo "next: perf-gate freeze (or bump --reason ...)$options --what ... --why-acceptable ..." \
  "--why-policy-holds ... --artifact ..."
