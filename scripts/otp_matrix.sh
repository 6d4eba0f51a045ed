#!/usr/bin/env bash
# Builds, tests and measures shortly on releases of Erlang/OTP, each out of Debian's packages.
#
# Usage: scripts/otp_matrix.sh RELEASE...       (25 bookworm, 27 trixie, 29 sid)
# Exit: 0 all passed; 1 something did not, as the table says; 2 wrong usage, or it cannot be tried here.
# Settings: DEBIAN_MIRROR [http://deb.debian.org/debian], MATRIX_TIMEOUT_SECONDS of each step [900].
# Writes: target/, _build/otp_matrix/RELEASE: tree (unpacked once; delete it to have today's), build, log.
#
# The release that this machine has is tried as it is, another one in a chroot. Native code is that of this
# machine, which newer ones load; it needs libc of the same processor. As root: each step has mounts and
# processes of its own, which end with it, however it ends: the kernel sees to that, and no trap.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
cd "$root"
limit=${MATRIX_TIMEOUT_SECONDS:-900}
refuse() { printf 'otp_matrix.sh: %s\n' "$*" >&2; exit 2; }
[ "$#" -gt 0 ] || refuse "usage: scripts/otp_matrix.sh RELEASE...; it knows: 25 27 29"
for release in "$@"; do
  [ -n "${debian_of_otp[$release]:-}" ] || refuse "no Debian release is known to have OTP '$release'; known: 25 27 29"
done
[ "$(id -u)" -eq 0 ] || refuse "only root may mount and change its root; type: sudo $0 $*"
unshare --mount --pid --fork true || refuse "this machine allows no mounts of one's own (a container without CAP_SYS_ADMIN?)"

# Debian's rebar3 and common_test want graphical libraries, which nothing here uses: they are unpacked without.
unpack() { # Debian suite
  unpack_debian "$1" "$(dpkg --print-architecture)" "$here/tree" "base-files bash dash coreutils findutils grep sed \
    procps git erlang-dev erlang-eunit erlang-inets erlang-parsetools erlang-runtime-tools erlang-tools erlang-xmerl \
    libjs-jquery-tablesorter" "erlang-common-test rebar3" || return 1
  cp /etc/hosts /etc/nsswitch.conf /etc/passwd /etc/group "$here/tree/etc/"
}

# Runs a command on the release, in this directory, with a _build of its own and no native build. Without /dev
# and /proc a BEAM spins for ever. `sh` is the first process of the step, and the kernel ends all others with it.
inside() { # command...
  # shellcheck disable=SC2016 # expanded inside
  setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child -- sh -euc '
    tree=$1 root=$2 build=$3 limit=$4; shift 4
    mkdir -p "$tree$TMPDIR" "$tree$root"
    mount --bind /dev "$tree/dev"; mount -t proc proc "$tree/proc"
    mount --bind "$TMPDIR" "$tree$TMPDIR"; mount --bind "$root" "$tree$root"
    mount --bind "$build" "$tree$root/_build"
    mount --bind /bin/true "$tree$root/scripts/build_native.sh"
    env --unset ERL_LIBS --unset ERL_FLAGS timeout --kill-after 10 "$limit" chroot "$tree" \
      sh -euc "cd \"\$0\"; exec \"\$@\"" "$root" "$@"; exit $?
  ' otp_matrix "$tree" "$root" "$here/build" "$limit" "$@" </dev/null >>"$here/log" 2>&1 &
  wait $!
}

# One release, into the variables of its row. What fails says in the log why.
try() { # release
  erts=- build=- passed=- run=-
  if [ "$tree" != / ] && [ ! -e "$here/tree/.whole" ]; then
    unpack "${debian_of_otp[$1]}" >>"$here/log" 2>&1 || { build="no packages"; return 1; }
    touch "$here/tree/.whole"
  fi
  inside erl -boot no_dot_erlang -noshell -eval 'io:format("release ~s erts ~s~n",
    [erlang:system_info(otp_release), erlang:system_info(version)]), halt().' || { build="no BEAM"; return 1; }
  erts=$(sed -n "s/^release $1 erts //p" "$here/log")
  [ -n "$erts" ] || { build="not OTP $1"; return 1; }
  inside rebar3 compile || { build=failed; return 1; }
  build=ok
  passed=failed
  inside rebar3 ct --dir erlang/ref_router/test,erlang/ref_router_adapter/test,erlang/router_bench/test || return 1
  # Where something was skipped (a chroot has no tools for networks), it is "Skipped 9 (9, 0) tests. Passed 290 tests.".
  passed="$(sed -nE 's/^All ([0-9]+) tests passed\..*/\1/p; s/^Skipped .* Passed ([0-9]+) tests\..*/\1/p' \
    "$here/log") passed"
  run=failed
  # There _build is what is $here/build from outside.
  inside erlang/router_bench/priv/perf-gate bench --blocks=2 --warmup-ms=200 --throughput-ms=500 --latency-ms=2100 \
    --rate=10000 --concurrency=16 --report-file=_build/report.json || return 1
  # timestamp,commit,block,name,unit,value; without a block it is the run's
  run=$(erlang/router_bench/priv/perf-gate export --format csv "$here/build/report.json" | awk -F, '
    $3 == "" && $4 == "latency_p95_ms" { p95 = $6 } $3 == "" && $4 == "rps" { rps = $6 }
    END { printf "p95 %.4f ms, %d/s", p95, rps }')
}

host=$(erl -boot no_dot_erlang -noshell -noinput -eval 'io:put_chars(erlang:system_info(otp_release)), halt().' \
  </dev/null 2>/dev/null) || host=none
"$root/scripts/build_native.sh"
export TMPDIR=${TMPDIR:-/tmp}
code=0 rows=()
for release in "$@"; do
  here=$root/_build/otp_matrix/$release tree=$root/_build/otp_matrix/$release/tree began=$SECONDS
  [ "$release" = "$host" ] && tree=/
  rm -rf "$here/build" && mkdir -p "$here/build" && : >"$here/log"
  echo "otp_matrix.sh: OTP $release, log in ${here#"$root/"}/log" >&2
  try "$release" || { code=1; tail -n 20 "$here/log" >&2; }
  rows+=("$(printf '%-7s  %-9s  %-11s  %-10s  %-28s  %4d s' \
    "$release" "$erts" "$build" "$passed" "$run" $((SECONDS - began)))")
done
printf '%-7s  %-9s  %-11s  %-10s  %-28s  %6s\n' release erts build suites run time
printf '%s\n' "${rows[@]}"
exit "$code"
