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
  PERF_COMPARE          replay: measure the baseline's commit beside the candidate, in turn;
                        frozen: compare with the baseline's figures, on its machine; auto: frozen
                        where the baseline's machine and sessions allow it, else replay
                                                                 [auto]
  PERF_TRUSTED_REF      judge by baseline and policy of this revision, such as origin/main, instead
                        of the work tree's                       [none]
  PERF_MODE             smoke (6 blocks, wider error rates) or gate (up to 20 blocks); the policy's
                        section `decision` says how many         [smoke in a merge or pull request,
                                                                  else gate]
  PERF_BLOCKS           blocks, each with a fresh BEAM of each side; as many are measured,
                        whatever they show                       [by PERF_MODE]     1 to 1000
  PERF_WARMUP_MS        least discarded load before each block,  [1000]             10 to 600000
                        5 times that until throughput is steady
  PERF_THROUGHPUT_MS    closed loop of a block, all slices       [1000]             10 to 600000
  PERF_LATENCY_MS       open loop of a block, all slices         [4000, or as long as the rate takes
                                                                  for 20,000 requests]
                                                                                    10 to 600000
  PERF_SLICE_MS         how long one side is measured before the other takes its turn; longer where
                        1,000 arrivals take longer               [60]               10 to 600000
  PERF_RATE             arrivals a second in the open loop       [the baseline's]   1 to 1000000
  PERF_CONCURRENCY      workers of the closed loop               [the baseline's]   1 to 10000
  PERF_ARRIVALS         constant or poisson                      [constant]
  PERF_KEYS             how requests draw their key: uniform, or zipf:S with an exponent S
                                                                 [uniform]          0 to 10
  PERF_KEY_COUNT        keys that there are                      [10000]            1 to 2^32
  PERF_SEED             of keys, arrivals and who goes first     [1; replay: drawn] 0 to 2^53
  PERF_CALLBACK_TIMEOUT_MS  limit of each call of the adapter's init/1, counters/1, control/2 and
                        terminate/1                              [30000]            100 to 3600000
  PERF_TIMEOUT_SECONDS  time limit of the benchmark              [900]              10 to 86400
  PERF_FAULT            plant a fault to see the gate fail: delay_us=N stall_ms=N error_ratio=R
                        hold_bytes=N leak_bytes=N backpressure=1 crash_after=N  [none]
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

# Judges a report; more arguments than those that are the same in every call.
gate() { # command arguments...
  local command=$1
  shift
  "${CARGO_TARGET_DIR:-target}/release/perf-gate" "$command" --baseline "$baseline" "${trusted[@]}" "$@"
}

# Whether blocks of here and now can be judged against the frozen ones, and at which looks.
ask_mode() {
  echo "perf_gate.sh: building router, bench and recorder"
  local here=$artifacts/.here_$stamp.json
  mkdir -p "$artifacts"
  rebar3 as perf compile >/dev/null || { rebar3 as perf compile; exit 2; }
  PERF_FINGERPRINT_FILE=$here erl -noshell -pa _build/perf/lib/*/ebin \
    -s router_bench_fingerprint main || exit 2
  # A baseline that cannot be read is the gate's to say, after the run.
  mode=$(gate mode --policy "$policy" --here "$here" "${smoke[@]}") || mode="replay"
  rm -f "$here"
}

# Builds the baseline's commit and tells the bench about it.
prepare_replay() {
  local plan looks commit tree
  plan=$(gate replay-plan --policy "$policy" "${smoke[@]}") || exit 2
  read -r looks commit tree <<<"$plan"
  rebar3 as perf compile >/dev/null || { rebar3 as perf compile; exit 2; }
  PERF_REPLAY_LIB_DIR=$("$scripts/replay_build.sh" "$commit" ${tree:+"$tree"}) || exit 2
  export PERF_REPLAY_LIB_DIR PERF_REPLAY_COMMIT=$commit PERF_REPLAY_TREE=$tree
  export PERF_REPLAY_REPORT_FILE=$artifacts/perf_replay_$stamp.json
  # Another order each time; the report has the seed.
  export PERF_SEED=${PERF_SEED:-$((RANDOM * 32768 + RANDOM))}
  prepare_looks "$looks"
}

prepare_looks() { # looks
  export PERF_LOOKS=$1 PERF_LOOK_COMMAND=$scripts/look.sh
  export PERF_LOOK_BASELINE=$baseline PERF_LOOK_POLICY=$policy PERF_LOOK_SMOKE=${smoke[*]}
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

smoke=()
[ "$(perf_mode)" != smoke ] || smoke=(--smoke)
trusted=()
[ -z "${PERF_TRUSTED_REF:-}" ] || trusted=(--trusted-ref "$PERF_TRUSTED_REF")

"$scripts/setup.sh"
cd "$root"
echo "perf_gate.sh: building the gate; the first time this takes some minutes"
cargo build --locked --release --package perf-gate

# How the candidate is compared. A report that is there already cannot be measured in turn.
compare=${PERF_COMPARE:-auto}
case "$compare" in
  frozen | replay | auto) ;;
  *) echo "perf_gate.sh: PERF_COMPARE is $compare; expected auto, frozen or replay" >&2; exit 2 ;;
esac
if [ "$compare" = replay ] && [ -n "$candidate" ]; then
  echo "perf_gate.sh: PERF_COMPARE=replay measures; leave CANDIDATE_FILE out" >&2
  exit 2
fi

bench_status=0
interrupted=0
replay=()
if [ -z "$candidate" ]; then
  # Chosen once, for the baseline. One that cannot be read is the gate's to say, below.
  frozen_load=$(gate load 2>/dev/null) || frozen_load=
  read -r frozen_rate frozen_concurrency <<<"$frozen_load"
  export PERF_RATE=${PERF_RATE:-$frozen_rate} PERF_CONCURRENCY=${PERF_CONCURRENCY:-$frozen_concurrency}
  # A new name: what an earlier run left can never be judged as this run's.
  candidate=$artifacts/perf_baseline_$stamp.json
  if [ "$compare" != replay ]; then
    ask_mode
    case "$compare,$mode" in
      *,frozen*) compare=frozen; prepare_looks "${mode#frozen }" ;;
      auto,*) compare=replay; echo "perf_gate.sh: ${mode/#replay/replay:}" ;;
    esac
  fi
  if [ "$compare" = replay ]; then
    prepare_replay
    replay=(--replay "$PERF_REPLAY_REPORT_FILE")
  fi
  run_child env PERF_REPORT_FILE="$candidate" "$scripts/bench_router.sh"
  bench_status=$child_status
fi

gate_status=0
gate check --policy "$policy" --waivers "$root/perf/waivers.json" --candidate "$candidate" \
  "${replay[@]}" "${smoke[@]}" --artifacts "$artifacts" --label "$stamp" || gate_status=$?

if [ "$interrupted" -ne 0 ]; then
  exit "$interrupted"
elif [ "$bench_status" -ne 0 ] && [ "$gate_status" -eq 0 ]; then
  echo "perf_gate.sh: the benchmark failed with $bench_status, so its report proves nothing" >&2
  exit 2
fi
exit "$gate_status"
