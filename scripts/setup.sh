#!/usr/bin/env bash
# Checks for what building, measuring and testing need, and installs what is missing where it may.
#
# Usage: scripts/setup.sh [--test] [--with nats|rabbitmq|ejabberd|cowboy|ssh|faketime|otp]...
#   --test        also what only ./scripts/test.sh needs
#   --with NAME   also a server, or a library, that tests talk to: unpacked in _build/test_tools/NAME out of
#                 Debian's packages, neither installed nor started; may be given several times. otp is
#                 Erlang/OTP of another release, and of this one for another architecture
#
# As root on a Debian system it installs with apt; elsewhere it prints the line to type and exits 2.
# Writes: system packages; with --test also _build/test_python, with either _build/test_tools.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages=()
with_tests=false
servers=()

# Debian's package of a server. The libraries of cowboy are no package of their own in Debian; RabbitMQ's
# brings them, as plain folders.
package_of() { # server
  case "$1" in
    nats) echo nats-server ;;
    rabbitmq | cowboy) echo rabbitmq-server ;;
    ejabberd) echo ejabberd ;;
    ssh) echo openssh-server ;;
    faketime) echo libfaketime ;;
    otp) echo erlang-base ;;
    *)
      echo "setup.sh: unknown server '$1'; there are nats, rabbitmq, ejabberd, cowboy, ssh, faketime and otp" >&2
      return 2 ;;
  esac
}

while [ $# -gt 0 ]; do
  case "$1" in
    --test) with_tests=true ;;
    --with) shift; package_of "${1:-}" >/dev/null || exit 2; servers+=("$1") ;;
    *) echo "setup.sh: unknown argument $1; there are --test and --with NAME" >&2; exit 2 ;;
  esac
  shift
done

# Evaluates an expression. What ~/.erlang does or prints is no part of the answer, nor what a shell says to
# every BEAM.
evaluate() { # expression
  env -u ERL_FLAGS -u ERL_AFLAGS -u ERL_ZFLAGS \
    erl -boot no_dot_erlang -noshell -noinput -eval "$1" </dev/null
}

# Prints "missing:" and what of Erlang/OTP is missing, a word each, and nothing else.
missing_erlang() {
  local wanted='[{common_test, "common_test"}]'
  if $with_tests; then
    wanted='[{common_test, "common_test"}, {dialyzer, "dialyzer"}, {edoc, "edoc"}, {tools, "tools"}]'
  fi
  evaluate "
    Old = [\"otp25\" || list_to_integer(erlang:system_info(otp_release)) < 25],
    Header = filename:join([code:root_dir(), \"usr\", \"include\", \"erl_nif.h\"]),
    NoHeader = [\"erl_nif.h\" || not filelib:is_file(Header)],
    Gone = [Name || {App, Name} <- $wanted, code:lib_dir(App) =:= {error, bad_name}],
    io:format(\"missing: ~s\", [lists:join(\" \", Old ++ NoHeader ++ Gone)]), halt()."
}

want() { # package
  packages+=("$1")
}

if command -v erl >/dev/null; then
  answer=$(missing_erlang) || answer="no answer"
  for part in $answer; do
    case "$part" in
      missing:) ;;
      otp25)
        echo "setup.sh: Erlang/OTP 25 or newer is needed; this is" \
          "$(evaluate 'io:put_chars(erlang:system_info(otp_release)), halt().')" >&2
        exit 2 ;;
      erl_nif.h) want erlang-dev ;;
      common_test | dialyzer | edoc | tools) want "erlang-${part/_/-}" ;;
      *)
        echo "setup.sh: erl does not say what it has, but: $answer" >&2
        echo "  Look why with: erl -boot no_dot_erlang -noshell -eval 'halt().'" >&2
        exit 2 ;;
    esac
  done
else
  want erlang-base; want erlang-common-test; want erlang-dev
  if $with_tests; then want erlang-dialyzer; want erlang-edoc; want erlang-tools; fi
fi
command -v rebar3 >/dev/null || want rebar3
command -v cc >/dev/null || { want gcc; want libc6-dev; }
command -v git >/dev/null || want git
if $with_tests; then
  for tool in shellcheck chromium zsh fish mandoc; do
    command -v "$tool" >/dev/null || want "$tool"
  done
  python3 -c 'import ensurepip' 2>/dev/null || want python3-venv
  # What reads what perf-gate writes.
  command -v xmllint >/dev/null || want libxml2-utils
  command -v prove >/dev/null || want perl
  command -v cmark-gfm >/dev/null || want cmark-gfm
  command -v jq >/dev/null || want jq
  # What makes networks and connections for tests of drivers elsewhere.
  if [ "$(uname -s)" = Linux ]; then
    command -v ip >/dev/null || want iproute2
    command -v ssh >/dev/null || want openssh-client
    command -v unshare >/dev/null || want util-linux
  fi
fi

if [ "${#packages[@]}" -gt 0 ]; then
  install="apt-get install --yes --no-install-recommends ${packages[*]}"
  if [ "$(id -u)" -eq 0 ] && [ -e /etc/debian_version ]; then
    echo "setup.sh: installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet >/dev/null
    # shellcheck disable=SC2086 # a list of words
    $install --quiet >/dev/null
  else
    echo "setup.sh: missing: ${packages[*]}. Type, or install them as your system does:" >&2
    echo "  sudo $install" >&2
    exit 2
  fi
fi

# Libraries that read what is exported, in an environment of their own.
test_python() {
  local python=$root/_build/test_python/bin/python wanted=$root/tests/other_tools/requirements.txt
  cmp --silent "$wanted" "$root/_build/test_python/requirements.txt" && return
  rm -rf "$root/_build/test_python"
  python3 -m venv "$root/_build/test_python"
  "$python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$root/_build/test_python/requirements.txt"
}

# promtool, out of Debian's package: to install that would start a server.
test_promtool() {
  local tools=$root/_build/test_tools
  if command -v promtool >/dev/null || [ -x "$tools/usr/bin/promtool" ]; then return; fi
  if ! command -v apt-get >/dev/null; then
    echo "setup.sh: missing: promtool. Install Prometheus as your system does" >&2
    exit 2
  fi
  mkdir -p "$tools"
  (cd "$tools" && apt-get download --quiet prometheus >/dev/null 2>&1 && dpkg-deb --extract prometheus_*.deb . &&
    rm prometheus_*.deb)
}

# What of a package and of what it needs this system has not, a name a line.
closure() { # package
  apt-get install --simulate --no-install-recommends "$1" 2>/dev/null | awk '$1 == "Inst" { print $2 }'
}

# Unpacks a server with what it needs, whole or not at all. To install it would start it, and add users.
test_server() { # server
  local package part=$root/_build/test_tools/$1.part tools=$root/_build/test_tools/$1 needed one
  [ ! -d "$tools" ] || return 0
  package=$(package_of "$1")
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "setup.sh: missing: $package. Here it is unpacked out of Debian's packages, with apt-get and dpkg-deb;" >&2
    echo "  elsewhere put what your system installs as $package in $tools" >&2
    exit 2
  fi
  # Lists of packages are old, or none, where nobody installs anything; a package of yesterday is no longer there.
  [ "$(id -u)" -ne 0 ] || apt-get update --quiet >/dev/null
  needed=$(closure "$package") || {
    echo "setup.sh: missing: $package, which apt-get does not know. Type, then try again:" >&2
    echo "  sudo apt-get update" >&2
    exit 2
  }
  echo "setup.sh: unpacking $package in _build/test_tools/$1"
  rm -rf "$part"
  mkdir -p "$part"
  # The sandbox's user may not write here, which apt-get says for each package.
  # shellcheck disable=SC2046,SC2086 # a list of words
  (cd "$part" && apt-get download --quiet --option APT::Sandbox::User=root \
    $(printf '%s\n' "$package" $needed | sort --unique) >/dev/null) || {
    echo "setup.sh: failed to download $package, or what it needs, from Debian; apt-get said above which" >&2
    exit 1
  }
  for one in "$part"/*.deb; do
    dpkg-deb --extract "$one" "$part" || {
      echo "setup.sh: failed to unpack $one" >&2
      exit 1
    }
    rm "$one"
  done
  mv "$part" "$tools"
}

# Erlang/OTP that is not this machine's, with all that it needs to run by itself.
test_otp() {
  local tools=$root/_build/test_tools/otp part=$root/_build/test_tools/otp.part
  local wanted="base-files coreutils dash erlang-base" ours other=27 architecture log
  [ ! -d "$tools" ] || return 0
  # shellcheck source=scripts/debian.sh
  source "$root/scripts/debian.sh"
  ours=$(evaluate 'io:put_chars(erlang:system_info(otp_release)), halt().')
  [ "$ours" != "$other" ] || other=25
  architecture=$(dpkg --print-architecture 2>/dev/null || true)
  echo "setup.sh: unpacking Erlang/OTP $other in _build/test_tools/otp"
  log=$(mktemp)
  rm -rf "$part"
  if ! unpack_debian "${debian_of_otp[$other]}" "$architecture" "$part/release" "$wanted" "" >"$log" 2>&1 ||
    # The processors of amd64 run i386 too.
    { [ "$architecture" = amd64 ] && [ -n "${debian_of_otp[$ours]:-}" ] &&
      ! unpack_debian "${debian_of_otp[$ours]}" i386 "$part/architecture" "$wanted" "" >"$log" 2>&1; }; then
    cat "$log" >&2
    rm -f "$log"
    echo "setup.sh: failed to unpack Erlang/OTP out of Debian's packages, as said above" >&2
    exit 1
  fi
  rm -f "$log"
  mv "$part" "$tools"
}

if $with_tests; then
  test_python
  test_promtool
fi
for server in ${servers[@]+"${servers[@]}"}; do
  case "$server" in
    otp) test_otp ;;
    *) test_server "$server" ;;
  esac
done

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
rust_found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2 || true)
if [ "$(printf '%s\n' "$rust_needed" "${rust_found:-0}" | sort --version-sort | head -n 1)" != "$rust_needed" ]
then
  echo "setup.sh: Rust $rust_needed or newer is needed; found: ${rust_found:-none}. Type:" >&2
  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
  exit 2
fi
