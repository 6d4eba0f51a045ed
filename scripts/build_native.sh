#!/usr/bin/env bash
# Builds the recorder NIF and the gate, and puts them where code:priv_dir(router_bench) finds them.
# Called by rebar3 before it compiles router_bench.
# Writes: target/, erlang/router_bench/priv/librouter_bench_nif.so, erlang/router_bench/priv/perf-gate
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# A frozen commit is built without its bench.
[ -d "$root/erlang/router_bench" ] || exit 0
priv="$root/erlang/router_bench/priv"
staged=
trap '[ -z "$staged" ] || rm -f "$staged"' EXIT

# A running BEAM may have the old file mapped: replace its name, never its content.
put() { # built name mode
  staged=$(mktemp "$priv/.$2.XXXXXX")
  cp "$built/$1" "$staged"
  chmod "$3" "$staged"
  if cmp --silent "$staged" "$priv/$2"; then rm -f "$staged"; else mv "$staged" "$priv/$2"; fi
}

case "$(uname -s)" in
  Darwin) nif=librouter_bench_nif.dylib ;;
  *) nif=librouter_bench_nif.so ;;
esac

build_rust
mkdir -p "$priv"
put "$nif" librouter_bench_nif.so 0644
put perf-gate perf-gate 0755
