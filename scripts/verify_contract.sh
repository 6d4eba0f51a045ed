#!/usr/bin/env bash
# Verifies the contract in continuous integration: verify, against the revision that a change is to be
# compared with, and lint.
#
# Usage: scripts/verify_contract.sh
# Exit: 0 the contract is kept; 1 it is not; 2 it could not be found out.
# Settings, which the platforms set: CI_MERGE_REQUEST_TARGET_BRANCH_NAME or GITHUB_BASE_REF, the
# branch that a change goes into; CI_COMMIT_BEFORE_SHA or CP1_BEFORE, what a push was on top of.
# Writes: target/; fetches the target branch.
#
# A schedule, and the first push of a branch, have nothing to be compared with: there the files are
# verified alone.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --quiet --locked --release --package perf-gate
gate=${CARGO_TARGET_DIR:-target}/release/perf-gate

branch=${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-${GITHUB_BASE_REF:-}}
before=${CI_COMMIT_BEFORE_SHA:-${CP1_BEFORE:-}}
against=()
if [ -n "$branch" ]; then
  git fetch --quiet origin "+refs/heads/$branch:refs/remotes/origin/$branch" || {
    echo "verify_contract.sh: the target branch $branch cannot be fetched" >&2
    exit 2
  }
  against=(--against "origin/$branch")
elif [ -n "${before//0/}" ]; then
  against=(--against "$before")
else
  echo "verify_contract.sh: nothing to be compared with, so the files are verified alone"
fi

status=0
"$gate" verify "${against[@]}" || status=$?
"$gate" lint || { lint=$?; [ "$status" -ne 0 ] || status=$lint; }
exit "$status"
