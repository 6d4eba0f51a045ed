#!/usr/bin/env bash
# Runs every test: formatting, lints, Rust, Erlang, and both together through their scripts.
# Ends with a line that counts tests. Writes: target/, _build/, _artifacts/ nothing, temporary
# directories that it removes.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$scripts/common.sh"
cd "$scripts/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

step() { # title command...
  printf '\n== %s\n' "$1"
  shift
  "$@" 2>&1 | tee -a "$log"
}

# Sums a column of numbers, 0 for none.
sum() {
  awk '{ total += $1 } END { print total + 0 }'
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

"$scripts/setup.sh" --test --with nats --with rabbitmq --with ejabberd --with cowboy
step "formatting" cargo fmt --all --check
step "lints" cargo clippy --locked --workspace --all-targets -- --deny warnings
step "shell" shellcheck --external-sources scripts/*.sh .ci/run
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
step "bench and gate together" cargo test --locked --package cp1_pipeline_tests -- --test-threads=1

rust=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log" | sum)
erlang=$(sed -n 's/^All \([0-9]*\) tests passed\..*/\1/p' "$log" | sum)
if [ "$rust" -eq 0 ] || [ "$erlang" -eq 0 ]; then
  echo "test.sh: no test was counted (Rust: $rust, Erlang: $erlang)" >&2
  exit 1
fi
printf '\n%s passed, 0 failed\n' "$((rust + erlang))"
