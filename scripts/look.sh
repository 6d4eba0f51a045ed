#!/usr/bin/env bash
# A look at a run: judges copies of its reports as they are so far.
#
# Usage: scripts/look.sh [--so-far] [--replay FILE] --candidate FILE
# Called by the bench after a block; with --so-far it decides nothing and says where the run stands.
# Exit: 75 undecided, and more blocks are planned; anything else ends the run.
# Settings: PERF_LOOK_BASELINE, PERF_LOOK_POLICY, PERF_LOOK_SMOKE, PERF_TRUSTED_REF, set by
# scripts/perf_gate.sh.
# Writes: seals the copies, as the test run that they come from has not ended.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate
for argument in "$@"; do
  [[ "$argument" == --* ]] || "$gate" seal --report "$argument" --ct-exit-code 0
done
exec "$gate" check --until-decided --baseline "$PERF_LOOK_BASELINE" --policy "$PERF_LOOK_POLICY" \
  --waivers perf/waivers.json ${PERF_LOOK_SMOKE:+--smoke} ${PERF_TRUSTED_REF:+--trusted-ref "$PERF_TRUSTED_REF"} "$@"
