#!/usr/bin/env bash
# Measures how often the gate errs: whole gates by replay, without a change and with a planted delay.
#
# Usage: scripts/prove_gate.sh N     runs until there are N gates of either kind
# Exit: 0 with both tables; 2 wrong usage or a run that measured nothing; 130, 143 interrupted.
# Settings: PROVE_DIR [_artifacts/prove]. Resumable: verdicts that are there are not made again, so
# begin in an empty directory after a change.
# Writes: PROVE_DIR. Needs a clean work tree, as the frozen side is the commit itself.
#
# A gate here is as a real one, with shorter rounds: 20,000 requests at 10,000 a second. Without a
# change both sides are the same commit. The delay is chosen so that p95 rises by twice its limit.
set -euo pipefail

usage() {
  sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  "" | *[!0-9]*) usage >&2; exit 2 ;;
esac
wanted=$1
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
directory=$(absolute "${PROVE_DIR:-_artifacts/prove}")
cd "$scripts/.."
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
baseline=$directory/baseline.json

if [ -n "$(git status --porcelain)" ]; then
  echo "prove_gate.sh: the work tree has changes that no commit has; commit or stash them" >&2
  exit 2
fi
mkdir -p "$directory/same" "$directory/slower"
export PERF_MODE=gate PERF_WARMUP_MS=300 PERF_THROUGHPUT_MS=500 PERF_LATENCY_MS=2100 PERF_RATE=10000

# p95 in microseconds, the median of some rounds.
p95_us() { # report
  "$gate" figure --report "$1" latency_p95_ms | awk '{ print $1 * 1000 }'
}

rounds() { # report [fault]
  run_child env PERF_ROUNDS=6 PERF_FAULT="${2:-}" PERF_REPORT_FILE="$1" "$scripts/bench_router.sh" \
    >"$directory/log" 2>&1
  [ "$interrupted" -eq 0 ] || exit "$interrupted"
  if [ "$child_status" -ne 0 ] || [ ! -e "$1" ]; then
    cat "$directory/log" >&2
    exit 2
  fi
}

# The delay by which p95 rises by 30 %, from one trial: it is nearly proportional.
if [ ! -e "$directory/delay_us" ]; then
  cargo build --quiet --locked --release --package perf-gate
  echo "prove_gate.sh: choosing the delay" >&2
  rounds "$baseline"
  before=$(p95_us "$baseline")
  trial=$(awk -v p95="$before" 'BEGIN { print int(0.3 * p95 + 0.5) }')
  rounds "$directory/trial.json" "delay_us=$trial"
  after=$(p95_us "$directory/trial.json")
  awk -v before="$before" -v after="$after" -v trial="$trial" 'BEGIN {
    share = after / before - 1
    if (share < 0.02) exit 1
    delay = int(trial * 0.3 / share + 0.5)
    printf "prove_gate.sh: p95 %.1f us, with a delay of %d us %.1f us\n", before, trial, after \
      > "/dev/stderr"
    print (delay < 1 ? 1 : delay)
  }' >"$directory/delay.new" \
    || { echo "prove_gate.sh: a delay of $trial us did not move p95" >&2; exit 2; }
  mv "$directory/delay.new" "$directory/delay_us"
fi
delay=$(<"$directory/delay_us")

one_gate() { # kind number fault
  local verdict=$directory/$1/perf_verdict_$2.json run=$directory/run
  [ ! -e "$verdict" ] || return 0
  rm -rf "$run"
  run_child env ARTIFACTS_DIR="$run" BASELINE_FILE="$baseline" PERF_COMPARE=replay PERF_FAULT="$3" \
    "$scripts/perf_gate.sh" >"$directory/log" 2>&1
  [ "$interrupted" -eq 0 ] || exit "$interrupted"
  # What cannot be judged is no gate that erred; a planted fault that passes is INVALID, and counts.
  case "$child_status" in
    0 | 1 | 2 | 3) mv "$run"/perf_verdict_*.json "$verdict" ;;
    *) cat "$directory/log" >&2; exit 2 ;;
  esac
  rm -rf "$run"
  echo "$1 $2 of $wanted: $(grep '^VERDICT' "$directory/log" | tail -n 1)"
}

for ((number = 1; number <= wanted; number++)); do
  one_gate same "$number" ""
  one_gate slower "$number" "delay_us=$delay"
done
printf '\nwithout a change\n'
"$gate" tally "$directory/same"
printf '\nwith a delay of %s us planted\n' "$delay"
"$gate" tally "$directory/slower"
