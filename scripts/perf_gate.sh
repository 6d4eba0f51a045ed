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
  PERF_COMPARE          replay: measure the baseline's commit beside the candidate, in pairs of rounds,
                        until the pairs decide; frozen: with the baseline's figures, on the machine
                        that it was measured on; auto: replay, but frozen in a smoke run  [auto]
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

# The mode as the bench will see it.
perf_mode() {
  if [ -n "${PERF_MODE:-}" ]; then
    echo "$PERF_MODE"
  elif [ "${CI_PIPELINE_SOURCE:-}" = merge_request_event ] \
    || [ "${GITHUB_EVENT_NAME:-}" = pull_request ]; then
    echo smoke
  else
    echo gate
  fi
}

# Builds the baseline's commit and tells the bench about it.
prepare_replay() {
  local plan looks commit tree
  plan=$("${CARGO_TARGET_DIR:-target}/release/perf-gate" replay-plan --baseline "$baseline" \
    --policy "$policy") || exit 2
  read -r looks commit tree <<<"$plan"
  rebar3 as perf compile >/dev/null || { rebar3 as perf compile; exit 2; }
  PERF_REPLAY_LIB_DIR=$("$scripts/replay_build.sh" "$commit" ${tree:+"$tree"}) || exit 2
  export PERF_REPLAY_LIB_DIR PERF_REPLAY_COMMIT=$commit PERF_REPLAY_TREE=$tree
  export PERF_REPLAY_REPORT_FILE=$artifacts/perf_replay_$stamp.json
  export PERF_LOOKS=$looks PERF_LOOK_COMMAND=$scripts/look.sh
  export PERF_LOOK_BASELINE=$baseline PERF_LOOK_POLICY=$policy
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

# How the candidate is compared. A report that is there already cannot be measured in turn.
compare=${PERF_COMPARE:-auto}
case "$compare" in
  frozen) ;;
  replay | auto)
    if [ -n "$candidate" ]; then
      [ "$compare" = auto ] \
        || { echo "perf_gate.sh: PERF_COMPARE=replay measures; leave CANDIDATE_FILE out" >&2; exit 2; }
      compare=frozen
    elif [ "$compare" = auto ] && [ "$(perf_mode)" = smoke ]; then
      compare=frozen
    else
      compare=replay
    fi ;;
  *) echo "perf_gate.sh: PERF_COMPARE is $compare; expected auto, frozen or replay" >&2; exit 2 ;;
esac

bench_status=0
interrupted=0
replay=()
if [ -z "$candidate" ]; then
  # Chosen once, for the baseline. One that cannot be read is the gate's to say, below.
  if [ -z "${PERF_RATE:-}" ]; then
    PERF_RATE=$("${CARGO_TARGET_DIR:-target}/release/perf-gate" rate --baseline "$baseline" \
      2>/dev/null) || PERF_RATE=
    export PERF_RATE
  fi
  # A new name: what an earlier run left can never be judged as this run's.
  candidate=$artifacts/perf_baseline_$stamp.json
  if [ "$compare" = replay ]; then
    prepare_replay
    replay=(--replay "$PERF_REPLAY_REPORT_FILE")
  fi
  run_child env PERF_REPORT_FILE="$candidate" "$scripts/bench_router.sh"
  bench_status=$child_status
fi

gate_status=0
"${CARGO_TARGET_DIR:-target}/release/perf-gate" check --baseline "$baseline" --policy "$policy" \
  --candidate "$candidate" "${replay[@]}" --artifacts "$artifacts" --label "$stamp" \
  || gate_status=$?

if [ "$interrupted" -ne 0 ]; then
  exit "$interrupted"
elif [ "$bench_status" -ne 0 ] && [ "$gate_status" -eq 0 ]; then
  echo "perf_gate.sh: the benchmark failed with $bench_status, so its report proves nothing" >&2
  exit 2
fi
exit "$gate_status"
