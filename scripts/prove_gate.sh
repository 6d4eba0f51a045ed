#!/usr/bin/env bash
# Measures how often the gate errs, and whether it reads a change as large as it is.
#
# Usage: scripts/prove_gate.sh GATES [PLANTED_GATES]      (PLANTED_GATES: a third of GATES)
# Exit: 0 with the tables; 2 wrong usage or a run that measured nothing; 130, 143 interrupted.
# Settings: PROVE_DIR [_artifacts/prove] keeps the reports. It goes on where it stopped, so begin in
# an empty directory after a change, and in another one for another machine or with other work beside
# it.
# Writes: PROVE_DIR. Needs a clean work tree, as the frozen side is the commit itself.
#
# Whole gates are run as a release's are: GATES without a change, PLANTED_GATES in which every request
# takes longer by 1.5 times the limit of p95, and a third as many of each: 2 times that limit, and 1.5
# and 2 times the limits of throughput and memory. How they ended is counted; of the blocks of each
# kind, of which there are more, 2,000 gates are drawn and judged as real ones are.
set -euo pipefail

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
esac
[[ "$#" -le 2 && "${1:-}" =~ ^[1-9][0-9]{0,3}$ && "${2:-1}" =~ ^[0-9]{1,4}$ ]] \
  || { usage >&2; exit 2; }
gates=$1
slower=${2:-$(((gates + 2) / 3))}
others=$(((slower + 2) / 3))
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
directory=$(absolute "${PROVE_DIR:-_artifacts/prove}")
cd "$scripts/.."
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
policy=perf/policy_cp1.json
baseline=$directory/baseline.json

if [ -n "$(git status --porcelain)" ]; then
  echo "prove_gate.sh: the work tree has changes that no commit has; commit or stash them" >&2
  exit 2
fi
mkdir -p "$directory"

run() { # command...
  run_child "$@" >"$directory/log" 2>&1
  [ "$interrupted" -eq 0 ] || exit "$interrupted"
}

failed() {
  cat "$directory/log" >&2
  exit 2
}

# One side of this commit: what the frozen side of all replays names, and what its figures are here.
if [ ! -e "$baseline" ]; then
  echo "prove_gate.sh: measuring the router, to choose what is planted" >&2
  cargo build --quiet --locked --release --package perf-gate
  load=$("$gate" load --baseline perf/baseline_cp1.json)
  read -r rate concurrency <<<"$load"
  run env PERF_RATE="$rate" PERF_CONCURRENCY="$concurrency" PERF_BLOCKS=4 PERF_MODE=gate \
    PERF_REPORT_FILE="$baseline.new" "$scripts/bench_router.sh"
  [ "$child_status" -eq 0 ] || failed
  mv "$baseline.new" "$baseline"
fi

# A figure of the baseline, in an expression of awk.
planted() { # metric expression format
  "$gate" figure --report "$baseline" "$1" | awk "{ printf \"$3\", $2 }"
}
delay_us() { # share-of-p95
  planted latency_p95_ms "\$1 * 1000 * $1" %.1f
}
# The closed loop keeps that many processors busy, so a request takes so much time of one.
slower_us() { # share-of-throughput-that-is-left
  planted rps "$busy * 1e6 / \$1 * (1 / $1 - 1)" %.1f
}
held_bytes() { # share-of-memory
  planted mem_mb_total_erlang "\$1 * 1048576 * $1" %.0f
}

# Gates of a kind.
measure() { # kind number fault
  local kept=$directory/$1 number
  mkdir -p "$kept"
  while number=$(find "$kept" -name 'perf_verdict_*.json' | wc -l) && [ "$number" -lt "$2" ]; do
    rm -rf "$directory/run"
    run env ARTIFACTS_DIR="$directory/run" BASELINE_FILE="$baseline" PERF_COMPARE=replay \
      PERF_MODE=gate PERF_FAULT="$3" "$scripts/perf_gate.sh"
    grep -q '"status": "\(complete\|generator_limited\)"' "$directory"/run/perf_baseline_*.json \
      || failed
    mv "$directory"/run/* "$kept"
    echo "$1 $((number + 1)) of $2${3:+, $3}: $(grep '^VERDICT' "$directory/log" | tail -n 1)"
  done
}

# How the gates of a kind ended, and gates drawn from their blocks.
show() { # kind arguments-of-simulate...
  local kept=$directory/$1 report files=()
  shift
  for report in "$kept"/perf_replay_*.json; do
    files+=(--replay "$report" --candidate "${report/perf_replay_/perf_baseline_}")
  done
  [ -e "$report" ] || return 0
  printf '\n%s\n' "$kept"
  "$gate" tally "$kept"
  "$gate" simulate --policy "$policy" "${files[@]}" "$@"
}

busy=$("$gate" load --baseline "$baseline" | awk -v processors="$(nproc)" \
  '{ print ($2 < processors ? $2 : processors) }')
measure same "$gates" ""
measure p95_at_1.5 "$slower" "delay_us=$(delay_us 0.225)"
measure p95_at_2 "$others" "delay_us=$(delay_us 0.30)"
measure rps_at_1.5 "$others" "delay_us=$(slower_us 0.85)"
measure rps_at_2 "$others" "delay_us=$(slower_us 0.80)"
measure memory_at_1.5 "$others" "hold_bytes=$(held_bytes 0.225)"
measure memory_at_2 "$others" "hold_bytes=$(held_bytes 0.30)"

show same
show p95_at_1.5 --as-measured | tee "$directory/p95.txt"
for kind in p95_at_2 rps_at_1.5 rps_at_2 memory_at_1.5 memory_at_2; do
  show "$kind" --as-measured
done
[ "$slower" -gt 0 ] || exit 0
# The delay as a share of the frozen side's p95 of the same blocks, beside what the gate read.
for file in "$directory"/p95_at_1.5/perf_replay_*.json; do
  "$gate" figure --report "$file" latency_p95_ms
done | sort -n | awk -v delay="$(delay_us 0.225)" -v read="$(sed -n \
  's/^latency_p95_ms .* \([-+0-9.]*\) % over .*/\1/p' "$directory/p95.txt")" '
  { p95[NR] = $1 }
  END {
    planted = delay / (1000 * p95[int((NR + 1) / 2)]) * 100
    printf "p95: %.1f %% planted, %.1f %% read, factor %.2f\n", planted, read, read / planted
  }'
