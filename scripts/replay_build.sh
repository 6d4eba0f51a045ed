#!/usr/bin/env bash
# Builds the router of another commit for a replay, and prints the directory of its applications.
#
# Usage: scripts/replay_build.sh COMMIT [TREE]     (40 hexadecimal digits each)
# Exit: 0 built, or built before; 2 with the cure if there is no such commit; else rebar3's code.
# Writes: _build/replay/COMMIT-otp<release>, as a whole or not at all. Work tree and index stay as
# they are. Where the commit is gone and its tree is still here, the tree is built.
#
# What needs router_bench is left out, as is router_bench itself: the bench comes from the
# candidate, which must be compiled (rebar3 as perf compile). No Rust is built.
set -euo pipefail

fail() {
  printf 'replay_build.sh: %s\n' "$@" >&2
  exit 2
}

is_hash() {
  [[ "$1" =~ ^[0-9a-f]{40}$ ]]
}

has() { # hash kind
  git cat-file -e "$1^{$2}" 2>/dev/null
}

[ "$#" -eq 1 ] || [ "$#" -eq 2 ] || fail "give a commit, and its tree if it is known"
commit=$1
tree=${2:-}
is_hash "$commit" || fail "the commit must be 40 lower-case hexadecimal digits"
[ -z "$tree" ] || is_hash "$tree" || fail "the tree must be 40 lower-case hexadecimal digits"

cd "$(dirname "${BASH_SOURCE[0]}")/.."
shallow=$(git rev-parse --is-shallow-repository 2>/dev/null) \
  || fail "this is no git repository, so the frozen commit $commit cannot be replayed;" \
    "clone the repository, or compare with frozen numbers: PERF_COMPARE=frozen"
if has "$commit" commit; then
  source=$commit
  [ -z "$tree" ] || [ "$(git rev-parse "$commit^{tree}")" = "$tree" ] \
    || fail "the baseline's tree $tree is not that of its commit $commit; freeze again"
elif [ -n "$tree" ] && has "$tree" tree; then
  source=$tree
elif [ "$shallow" = true ]; then
  fail "this shallow clone does not have the frozen commit $commit; deepen it, then try again:" \
    "  git fetch --unshallow        or    git fetch origin $commit"
else
  fail "this repository does not have the frozen commit $commit; fetch it, then try again:" \
    "  git fetch origin $commit"
fi

otp=$(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
built=$PWD/_build/replay/$commit-otp$otp
if [ -d "$built" ]; then
  printf '%s\n' "$built"
  exit 0
fi

mkdir -p _build/replay
staged=$(mktemp -d "$PWD/_build/replay/.building.XXXXXX")
trap 'rm -rf "$staged"' EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
mkdir "$staged/source" "$staged/bench"
git archive --format=tar --output="$staged/source.tar" "$source"
tar --extract --file="$staged/source.tar" --directory="$staged/source"

bench=$(erl -noshell -pa _build/perf/lib/*/ebin -s router_bench_frozen main)
for application in $bench; do
  ln -s "$PWD/_build/perf/lib/$application" "$staged/bench/$application"
  find "$staged/source" -path "*/src/$application.app.src" -print0 \
    | while IFS= read -r -d '' file; do rm -rf "$(dirname "$(dirname "$file")")"; done
done
[ -d "$staged/source" ] || fail "the application at the root of the repository" \
  "needs router_bench, so nothing would be left to replay; give the adapter an application of its own"

echo "replay_build.sh: building $source" >&2
(
  cd "$staged/source"
  # What runs in the candidate's build must not reach into this one.
  unset REBAR_BASE_DIR REBAR_CONFIG REBAR_PROFILE ERL_COMPILER_OPTIONS
  ERL_LIBS="$staged/bench" rebar3 as perf compile >"$staged/log" 2>&1 || {
    status=$?
    cat "$staged/log" >&2
    echo "replay_build.sh: the frozen commit $commit does not build" >&2
    exit "$status"
  }
)
# rebar3's directories are full of links into the source, some to directories that no application
# has to have: the others are followed here, so that the source can go.
find "$staged/source/_build/perf/lib" -xtype l -delete
cp --recursive --dereference "$staged/source/_build/perf/lib" "$staged/lib"
# Another build of the same commit may have been faster.
mv --no-target-directory "$staged/lib" "$built" 2>/dev/null || [ -d "$built" ]
printf '%s\n' "$built"
