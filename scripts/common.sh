# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source this
# What the scripts share. Sourced, never run.

# A hook says by variables which repository git means; the scripts mean their own.
while read -r name; do unset "$name"; done < <(git rev-parse --local-env-vars 2>/dev/null)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What is measured and verified: a job judges a change with the tool of the target branch.
project=${CP1_PROJECT:-$root}

# Builds NIF and gate, into the directory that is then in `built`. Both in one command, always: cargo
# builds whatever they share anew for another set of packages. The flag outranks what cargo's own files say.
# Writes: target/.
build_rust() {
  local target=${CARGO_TARGET_DIR:-target}
  # The first time this takes some minutes.
  (cd "$root" && cargo build --locked --release --target-dir "$target" \
    --package router_bench_nif --package perf-gate) || return 2
  built=$(cd "$root" && cd "$target/${CARGO_BUILD_TARGET:-}/release" && pwd) || return 2
}

# Sets up and builds the gate, whose path is then in `gate`. Writes: system packages, target/.
build_gate() {
  "$root/scripts/setup.sh" || exit 2
  build_rust || exit 2
  gate=$built/perf-gate
}

# A path as the caller meant it, whatever directory the script changes to later.
absolute() {
  case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
  esac
}

# A running program may have the old file mapped: its name is replaced, never its content, and only by another.
put() { # built where mode
  local staged
  staged=$(mktemp "$(dirname "$2")/.$(basename "$2").XXXXXX") || return 2
  if ! { cp "$1" "$staged" && chmod "$3" "$staged"; }; then
    rm -f "$staged"
    return 2
  fi
  if cmp --silent "$staged" "$2"; then rm -f "$staged"; else mv "$staged" "$2"; fi
}
