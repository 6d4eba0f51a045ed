#!/usr/bin/env bash
# Checks for what building, measuring and testing need, and installs what is missing where it may.
#
# Usage: scripts/setup.sh [--test]
#   --test   also what only ./scripts/test.sh needs
#
# As root on a Debian system it installs with apt; elsewhere it prints the line to type and exits 2.
# Writes: system packages; with --test also _build/test_python and _build/test_tools.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages=()
with_tests=false
for argument in "$@"; do
  case "$argument" in
    --test) with_tests=true ;;
    *) echo "setup.sh: unknown argument $argument; the only one is --test" >&2; exit 2 ;;
  esac
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

if $with_tests; then
  test_python
  test_promtool
fi

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
rust_found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2 || true)
if [ "$(printf '%s\n' "$rust_needed" "${rust_found:-0}" | sort --version-sort | head -n 1)" != "$rust_needed" ]
then
  echo "setup.sh: Rust $rust_needed or newer is needed; found: ${rust_found:-none}. Type:" >&2
  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
  exit 2
fi
