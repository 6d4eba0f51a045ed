#!/usr/bin/env bash
# Builds perf-gate and the bench once, and installs them for use in any project.
#
# Usage: scripts/install.sh [--prefix DIR]      (/usr/local as root, else ~/.local)
# Exit: 0 installed; 2 wrong usage, or it cannot be built or written.
# Writes: target/, _build/; PREFIX/bin/perf-gate, PREFIX/lib/router_bench-VERSION, manual pages and
# completions under PREFIX/share.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

prefix=/usr/local
[ "$(id -u)" -eq 0 ] || prefix=${HOME:-}/.local
case "${1:-}" in
  --prefix=*) prefix=${1#--prefix=}; shift ;;
  --prefix) prefix=${2:-}; shift; shift || true ;;
  --help | -h) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
if [ "$#" -gt 0 ] || [ -z "$prefix" ]; then
  echo "install.sh: usage: scripts/install.sh [--prefix DIR]" >&2
  exit 2
fi
prefix=$(absolute "$prefix")
build_gate
cd "$root"
rebar3 as perf compile >/dev/null || rebar3 as perf compile || exit 2
bench=$root/_build/perf/lib/router_bench
version=$(sed -n 's/.*{vsn, *"\([^"]*\)"}.*/\1/p' "$bench/ebin/router_bench.app")
library=$prefix/lib/router_bench-$version
mkdir -p "$prefix/bin" "$prefix/lib" || exit 2
# Beside its place, so that it is there as a whole or not at all.
staged=$(mktemp -d "$prefix/lib/.router_bench.XXXXXX") || exit 2
trap 'rm -rf "$staged"' EXIT
mkdir "$staged/priv"
cp -R "$bench/ebin" "$staged/ebin"
cp "$bench/priv/librouter_bench_nif.so" "$staged/priv/"
chmod -R u=rwX,go=rX "$staged"
rm -rf "$library"
mv "$staged" "$library"
# A program that runs keeps its file: its name is replaced, never its content.
cp "$gate" "$prefix/bin/.perf-gate.new"
mv "$prefix/bin/.perf-gate.new" "$prefix/bin/perf-gate"
# What was built for another machine cannot run here; its manual is the same.
"$gate" --version >/dev/null 2>&1 || { unset CARGO_BUILD_TARGET RUSTFLAGS; build_gate; }
"$gate" manuals --prefix "$prefix" || exit 2
echo "installed $prefix/bin/perf-gate and $library"
case ":$PATH:" in
  *":$prefix/bin:"*) ;;
  *) echo "add $prefix/bin to PATH" ;;
esac
