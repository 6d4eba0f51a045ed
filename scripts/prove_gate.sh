#!/usr/bin/env bash
# Measures how often the gate errs, and whether it reads a change as large as it is.
#
# Usage: scripts/prove_gate.sh BLOCKS [PLANTED_BLOCKS]     (PLANTED_BLOCKS: three tenths of BLOCKS)
# Exit: 0 with the tables; 2 wrong usage or a run that measured nothing; 130, 143 interrupted.
# Settings: PROVE_DIR [_artifacts/prove] keeps the blocks. It goes on where it stopped, so begin in an
# empty directory after a change, and in another one for another machine or with other work beside it.
# Writes: PROVE_DIR. Needs a clean work tree, as the frozen side is the commit itself.
#
# Blocks are those of a real gate, under the frozen baseline's load: as many without a change, and as
# many in which every request of the candidate takes longer by a delay of 1.5 times the limit of p95.
# Of either kind 2,000 gates are drawn and judged as real ones are.
set -euo pipefail

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
esac
[[ "$#" -le 2 && "${1:-}" =~ ^[1-9][0-9]{0,3}$ && "${2:-1}" =~ ^[1-9][0-9]{0,3}$ ]] \
  || { usage >&2; exit 2; }
wanted=$1
planted=${2:-$(((wanted * 3 + 9) / 10))}
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
directory=$(absolute "${PROVE_DIR:-_artifacts/prove}")
cd "$scripts/.."
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
policy=perf/policy_cp1.json
baseline=$directory/baseline.json
# Blocks of one run: if it is interrupted, so many are lost at most.
batch=10

if [ -n "$(git status --porcelain)" ]; then
  echo "prove_gate.sh: the work tree has changes that no commit has; commit or stash them" >&2
  exit 2
fi
mkdir -p "$directory/same" "$directory/slower"

run() { # command...
  run_child "$@" >"$directory/log" 2>&1
  [ "$interrupted" -eq 0 ] || exit "$interrupted"
}

failed() {
  cat "$directory/log" >&2
  exit 2
}

# One side of this commit: what the frozen side of all replays names, and what p95 is here.
if [ ! -e "$baseline" ]; then
  echo "prove_gate.sh: measuring p95, to choose the delay" >&2
  cargo build --quiet --locked --release --package perf-gate
  load=$("$gate" load --baseline perf/baseline_cp1.json)
  read -r rate concurrency <<<"$load"
  run env PERF_RATE="$rate" PERF_CONCURRENCY="$concurrency" PERF_BLOCKS=4 PERF_MODE=gate \
    PERF_REPORT_FILE="$baseline.new" "$scripts/bench_router.sh"
  [ "$child_status" -eq 0 ] || failed
  mv "$baseline.new" "$baseline"
fi
delay=$("$gate" figure --report "$baseline" latency_p95_ms \
  | awk '{ delay = int($1 * 1000 * 0.225 + 0.5); print (delay < 1 ? 1 : delay) }')

# Prints how many blocks of a kind there are.
measured() { # kind
  find "$directory/$1" -name 'candidate_*.json' | sed 's/.*_\([0-9]*\)\.json/\1/' \
    | awk '{ total += $1 } END { print total + 0 }'
}

measure() { # kind number fault
  local artifacts=$directory/run now
  while now=$(measured "$1") && [ "$now" -lt "$2" ]; do
    local blocks=$(($2 - now < batch ? $2 - now : batch)) name
    rm -rf "$artifacts"
    run env ARTIFACTS_DIR="$artifacts" BASELINE_FILE="$baseline" PERF_COMPARE=replay PERF_MODE=gate \
      PERF_BLOCKS="$blocks" PERF_FAULT="$3" "$scripts/perf_gate.sh"
    grep -q '"status": "\(complete\|generator_limited\)"' "$artifacts"/perf_baseline_*.json || failed
    name=$(date -u +%Y%m%dT%H%M%SZ)_$blocks.json
    mv "$artifacts"/perf_replay_*.json "$directory/$1/replay_$name"
    mv "$artifacts"/perf_baseline_*.json "$directory/$1/candidate_$name"
    rm -rf "$artifacts"
    echo "$1: $((now + blocks)) of $2 blocks: $(grep '^VERDICT' "$directory/log" | tail -n 1)"
  done
}

# Gates drawn from the blocks of a kind.
simulate() { # kind arguments...
  local kind=$1 file files=()
  shift
  for file in "$directory/$kind"/candidate_*.json; do
    files+=(--replay "${file/candidate_/replay_}" --candidate "$file")
  done
  "$gate" simulate --policy "$policy" "${files[@]}" "$@"
}

measure same "$wanted" ""
measure slower "$planted" "delay_us=$delay"
printf '\nwithout a change, and with changes planted into the figures\n'
simulate same
printf '\nwith a delay of %s us planted into the router\n' "$delay"
simulate slower --as-measured | tee "$directory/slower.txt"
# The delay as a share of the frozen side's p95 of the same blocks, beside what the gate read.
for file in "$directory"/slower/replay_*.json; do
  "$gate" figure --report "$file" latency_p95_ms
done | sort -n | awk -v delay="$delay" -v read="$(sed -n \
  's/^latency_p95_ms .* \([-+0-9.]*\) % over .*/\1/p' "$directory/slower.txt")" '
  { p95[NR] = $1 }
  END {
    planted = delay / (1000 * p95[int((NR + 1) / 2)]) * 100
    printf "p95: %.1f %% planted, %.1f %% read, factor %.2f\n", planted, read, read / planted
  }'
