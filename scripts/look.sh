#!/usr/bin/env bash
# A look at a replay: judges copies of the two reports as they are so far.
#
# Usage: scripts/look.sh --replay FILE --candidate FILE    (called by the bench between two pairs)
# Exit: 75 undecided, and more pairs are planned; anything else ends the run.
# Settings: PERF_LOOK_BASELINE, PERF_LOOK_POLICY, set by scripts/perf_gate.sh.
# Writes: seals the copies, as the test run that they come from has not ended.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
"$gate" seal --report "$2" --ct-exit-code 0
"$gate" seal --report "$4" --ct-exit-code 0
exec "$gate" check --until-decided --baseline "$PERF_LOOK_BASELINE" --policy "$PERF_LOOK_POLICY" "$@"
