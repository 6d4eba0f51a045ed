#!/usr/bin/env bash
# Builds the recorder NIF and puts it where code:priv_dir(router_bench) finds it.
# Called by rebar3 before it compiles router_bench.
# Writes: target/, erlang/router_bench/priv/librouter_bench_nif.so
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
priv="$root/erlang/router_bench/priv"

case "$(uname -s)" in
  Darwin) built=librouter_bench_nif.dylib ;;
  *) built=librouter_bench_nif.so ;;
esac

cd "$root"
cargo build --locked --release --package router_bench_nif
mkdir -p "$priv"
# A running BEAM may have the old file mapped: replace its name, never its content.
staged=$(mktemp "$priv/.librouter_bench_nif.XXXXXX")
trap 'rm -f "$staged"' EXIT
cp "${CARGO_TARGET_DIR:-$root/target}/release/$built" "$staged"
chmod 0644 "$staged"
if ! cmp --silent "$staged" "$priv/librouter_bench_nif.so"; then
  mv "$staged" "$priv/librouter_bench_nif.so"
fi
