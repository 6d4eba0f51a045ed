#!/usr/bin/env bash
# Verifies the contract in continuous integration: sets up, builds, and hands over to
# `perf-gate verify --ci`.
# Exit: 0 the contract is kept; 1 it is not; 2 it could not be found out.
# Settings: CP1_PROJECT is another work tree that is verified, by the tool of this one.
# Writes: target/; fetches the target branch.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build_gate
exec "$gate" verify --ci --root "$project" "$@"
