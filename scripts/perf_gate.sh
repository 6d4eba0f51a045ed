#!/usr/bin/env bash
# Measures the router of this repository and judges it against its frozen baseline: sets up, builds,
# and hands over to `perf-gate run`, which --help describes with every setting.
# Exit: 0 PASS, 1 REGRESSION, 2 INVALID or nothing measured, 3 INCONCLUSIVE, 4 INCOMPARABLE, 130 or
# 143 interrupted.
# Settings: CP1_PROJECT is another work tree that is measured, by the tool of this one.
# Writes: target/, _build/; in $ARTIFACTS_DIR perf_baseline_*.json (the report) and the verdict, as
# perf_gate_*.log, perf_report_*.html, perf_summary_*.md, perf_verdict_*.json and in formats of
# continuous integration.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build_gate
exec "$gate" run --project "$project" "$@"
