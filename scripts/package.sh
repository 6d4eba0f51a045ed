#!/usr/bin/env bash
# Makes a tarball of what scripts/install.sh installs, for machines without Rust.
#
# Usage: scripts/package.sh [DIR]      (where it goes; _artifacts)
# Exit: 0 with the tarball's path as the last line; 2 wrong usage, or it cannot be built or written.
# Settings: CARGO_BUILD_TARGET builds for another target whose toolchain is there; for a musl target also
# RUSTFLAGS="-C target-feature=-crt-static", without which cargo drops the NIF in silence.
# Writes: target/, _build/; DIR/perf-gate-VERSION-TARGET.tar.gz.
#
# Unpacked anywhere, it is a prefix: put its bin/ on PATH. It runs with the Erlang/OTP that it was made
# with, and with newer ones.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case "${1:-}" in
  --help | -h) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
[ "$#" -le 1 ] || { echo "package.sh: usage: scripts/package.sh [DIR]" >&2; exit 2; }
out=$(absolute "${1:-_artifacts}")
staged=$(mktemp -d) || exit 2
trap 'rm -rf "$staged"' EXIT
target=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
name=perf-gate-$version-$target
"$root/scripts/install.sh" --prefix "$staged/$name" >/dev/null
mkdir -p "$out" || exit 2
tar --create --gzip --owner=0 --group=0 --file="$staged/made" --directory="$staged" "$name" || exit 2
mv "$staged/made" "$out/$name.tar.gz"
echo "$out/$name.tar.gz"
