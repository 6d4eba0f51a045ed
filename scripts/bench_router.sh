#!/usr/bin/env bash
# Measures the router of this repository and leaves a sealed report: sets up, builds, and hands over to
# `perf-gate bench`, which --help describes with every setting.
# Exit: 0 measured; 2 nothing was measured, or the run failed, as its report says; 124 out of time; 130 or
# 143 interrupted.
# Writes: target/, _build/; $ARTIFACTS_DIR/perf_baseline_*.json, or $PERF_REPORT_FILE.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build_gate
exec "$gate" bench --project "$root" "$@"
