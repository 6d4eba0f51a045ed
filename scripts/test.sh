#!/usr/bin/env bash
# Runs every test: formatting, lints, Rust, Erlang, and both together through their scripts. What computes and
# what measures run at the same time: no test asserts a time, and what measures mostly waits.
# Ends with what was skipped and why, and a line that counts tests. A test may be skipped where this machine
# cannot run it, and for no other reason. Writes: target/, _build/, _artifacts/ nothing, temporary
# directories that it removes.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
cd "$scripts/.."
log=$(mktemp)
lanes=()
trap 'for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || true; done; rm -f "$log"*' EXIT

step() { # title command...
  local began=$SECONDS
  printf '\n== %s\n' "$1"
  "${@:2}" 2>&1
  printf '== %s: %d s\n' "$1" $((SECONDS - began))
}

# Begins what runs beside the rest: not below an `if` or `||`, where a shell goes on after what fails, and in a
# process group of its own, so that it ends with this script as a whole.
begin() { # function
  set -m
  "$1" >"$log.$1" 2>&1 </dev/null &
  set +m
  lanes+=("$!")
}

# Sums a column of numbers, 0 for none.
sum() {
  awk '{ total += $1 } END { print total + 0 }'
}

# Each test of Erlang that was skipped, a line each: suite, case, and why.
skipped() { # file
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    function tell() { gsub(/^\{tc_(user|auto)_skip,"?|"?\}$/, "", why); if (name != "") print name ": " why; name = "" }
    /^%%% [^ ]+ ==> [^ ]+: SKIPPED$/ { tell(); sub(/:$/, "", $4); name = $2 " " $4; why = ""; next }
    name != "" && (/^$/ || /^\./) { tell(); next }
    name != "" { sub(/^%%% [^ ]+ ==> /, ""); sub(/^ +/, " "); why = why $0 }
    END { tell() }' | grep -vE ' (init|end)_per_suite: ' || true
}

# The contract is kept, and has been by every commit since its chain of records began. A shallow
# clone does not have these commits.
contract() {
  local alone=()
  build_rust
  [ "$(git rev-parse --is-shallow-repository)" = false ] || alone=(--files)
  "$built/perf-gate" verify "${alone[@]}"
  "$built/perf-gate" lint
}

computes() {
  step "lints" cargo clippy --locked --workspace --all-targets -- --deny warnings
  step "Rust tests, a minute of them fuzzing" env FUZZ_SECONDS=60 \
    cargo test --locked --workspace --exclude cp1_pipeline_tests
  step "every interleaving of the shards" env RUSTFLAGS="--cfg loom" \
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test --locked --release --package latency_recorder --test loom
  step "NATS client" ./scripts/nats.sh build
  step "Erlang cross references" rebar3 xref
  step "Erlang types" rebar3 dialyzer
  step "Erlang documentation" ./scripts/docs.escript
  step "Erlang tests" rebar3 ct \
    --dir erlang/ref_router/test,erlang/ref_router_adapter/test,erlang/router_bench/test,erlang/nats_client/test
  step "the contract of this project" contract
}

measures() {
  step "NIF and gate" build_rust
  step "bench and gate together" cargo test --locked --package cp1_pipeline_tests -- --test-threads=1
}

"$scripts/setup.sh" --test --with nats --with rabbitmq --with ejabberd --with cowboy --with ssh \
  --with faketime --with otp
step "formatting" cargo fmt --all --check
step "shell" shellcheck --external-sources scripts/*.sh .ci/run
begin measures
begin computes
tail --lines=+1 --follow --pid="${lanes[1]}" "$log.computes"
code=0
for lane in "${lanes[@]}"; do wait "$lane" || code=$?; done
lanes=()
cat "$log.measures"
if [ "$code" -ne 0 ]; then
  echo "test.sh: failed, as said above" >&2
  exit "$code"
fi
cat "$log.computes" "$log.measures" >"$log"

unrun=$(skipped "$log")
if [ -n "$unrun" ]; then
  printf '\nskipped:\n%s\n' "$unrun"
  if could=$(grep -v 'this machine cannot' <<<"$unrun"); then
    printf 'test.sh: skipped, though this machine could have run it:\n%s\n' "$could" >&2
    exit 1
  fi
fi
rust=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log" | sum)
# Where some were skipped, it is "Skipped 2 (2, 0) tests. Passed 4 tests.".
erlang=$(sed -nE 's/^All ([0-9]+) tests passed\..*/\1/p; s/^Skipped .* Passed ([0-9]+) tests\..*/\1/p' "$log" | sum)
if [ "$rust" -eq 0 ] || [ "$erlang" -eq 0 ]; then
  echo "test.sh: no test was counted (Rust: $rust, Erlang: $erlang)" >&2
  exit 1
fi
printf '\n%s passed, 0 failed\n' "$((rust + erlang))"
