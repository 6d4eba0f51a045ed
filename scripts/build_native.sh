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
case "$(uname -s)" in
  Darwin) nif=librouter_bench_nif.dylib ;;
  *) nif=librouter_bench_nif.so ;;
esac

build_rust
mkdir -p "$priv"
put "$built/$nif" "$priv/librouter_bench_nif.so" 0644
put "$built/perf-gate" "$priv/perf-gate" 0755
