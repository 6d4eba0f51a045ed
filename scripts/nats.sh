#!/usr/bin/env bash
# Starts, stops and shows a NATS server for tests and measurements, and builds the client.
#
# Usage: scripts/nats.sh start|stop|status [--tls] [--jetstream] [--dir DIR] [--port PORT]
#        scripts/nats.sh build
#   --tls        with certificates that this script makes: the server's names localhost and 127.0.0.1, and
#                who comes without the client's is refused; TLS 1.2 and newer
#   --jetstream  with a store in DIR/store
#   --dir DIR    where all of a server is kept; _build/nats/plain, with --tls _build/nats/tls
#   --port PORT  instead of a free one (to start again what was killed)
#
# The server is Debian's (scripts/setup.sh --with nats) or that on PATH; it listens on 127.0.0.1 alone.
# Exit: 0 done, or it answers; 1 status: it does not answer; 2 wrong usage, or it cannot be started.
# Writes: DIR (port, monitor, nats.conf, nats.log, nats.pid, certificates/, store/); build: target/ and
# erlang/nats_client/priv.
set -euo pipefail

# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fail() { # what...
  printf 'nats.sh: %s\n' "$@" >&2
  exit 2
}

usage() {
  sed -n '4,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

build() {
  local name=libnats_client_nif.so priv=$root/erlang/nats_client/priv target=${CARGO_TARGET_DIR:-target}
  cd "$root"
  cargo build --locked --release --target-dir "$target" --package nats_client_nif
  mkdir -p "$priv"
  case "$(uname -s)" in
    Darwin) put "$target/${CARGO_BUILD_TARGET:-}/release/libnats_client_nif.dylib" "$priv/$name" 0644 ;;
    *) put "$target/${CARGO_BUILD_TARGET:-}/release/$name" "$priv/$name" 0644 ;;
  esac
}

# A certificate for 30 days, with its key: of a CA where the rest names one. Without the system's
# configuration, which would make each of them a CA.
certificate() { # name extension openssl's...
  local name=$1 extension=$2
  shift 2
  openssl req -x509 -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -subj "/CN=nats.sh $name" \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout "$name.key" -out "$name.pem" \
    -addext "$extension" "$@" 2>openssl.log || fail "openssl made no certificate:" "$(cat openssl.log)"
}

# Those of before are kept for as long as they are good for a day.
certificates() {
  command -v openssl >/dev/null || fail "missing: openssl. Type: sudo apt-get install openssl"
  mkdir -p "$dir/certificates"
  (
    umask 077
    cd "$dir/certificates"
    openssl x509 -in client.pem -noout -checkend 86400 >/dev/null 2>&1 && exit
    certificate ca basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    certificate server subjectAltName=DNS:localhost,IP:127.0.0.1 -addext extendedKeyUsage=serverAuth \
      -CA ca.pem -CAkey ca.key
    certificate client extendedKeyUsage=clientAuth -CA ca.pem -CAkey ca.key
  )
}

configuration() {
  printf '%s: "%s"\n' listen "127.0.0.1:$port" http 127.0.0.1:-1 pid_file "$dir/nats.pid" \
    log_file "$dir/nats.log" ports_file_dir "$dir"
  ! $jetstream || printf 'jetstream { store_dir: "%s/store" }\n' "$dir"
  ! $tls || printf 'tls { cert_file: "%s/server.pem", key_file: "%s/server.key", ca_file: "%s/ca.pem", verify: true }\n' \
    "$dir/certificates" "$dir/certificates" "$dir/certificates"
}

# Whether the process of the pid file is this directory's server, and not another that was given its number.
lives() {
  pid=$(cat "$dir/nats.pid" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir/nats.conf"
}

# What the server's monitor says: a request and its reply, through its own loop.
ask() { # path
  local monitor
  monitor=$(cat "$dir/monitor" 2>/dev/null) || return
  { exec 3<>"/dev/tcp/127.0.0.1/$monitor"; } 2>/dev/null || return
  printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" >&3
  timeout 5 cat <&3
  exec 3>&-
}

answers() {
  ask healthz | grep -q '"status": *"ok"'
}

# The server writes on which ports it listens once it does.
ports() {
  local file=$dir/nats-server_$1.ports
  [ -s "$file" ] || return
  grep -o '"nats://[^"]*\|"tls://[^"]*' "$file" | grep -o '[0-9]*$' >"$dir/port"
  grep -o '"http://[^"]*' "$file" | grep -o '[0-9]*$' >"$dir/monitor"
}

start() {
  local server started=$SECONDS child
  if lives; then
    echo "nats.sh: it runs already"
    status
    return
  fi
  server=$root/_build/test_tools/nats/usr/sbin/nats-server
  [ -x "$server" ] || server=$(command -v nats-server) ||
    fail "missing: nats-server. Type: scripts/setup.sh --with nats"
  mkdir -p "$dir"
  rm -f "$dir"/nats-server_*.ports "$dir/port" "$dir/monitor" "$dir/nats.pid"
  ! $tls || certificates
  configuration >"$dir/nats.conf"
  setsid "$server" -c "$dir/nats.conf" </dev/null >>"$dir/nats.log" 2>&1 &
  child=$!
  until ports "$child" && answers; do
    kill -0 "$child" 2>/dev/null || fail "it ended at once; $dir/nats.log ends with:" "$(tail -n 5 "$dir/nats.log")"
    [ $((SECONDS - started)) -lt 20 ] || { kill "$child"; fail "it does not answer; see $dir/nats.log"; }
    sleep 0.02
  done
  status
}

stop() {
  local asked=$SECONDS
  if ! lives; then
    echo "nats.sh: it does not run"
  else
    kill "$pid" 2>/dev/null || true
    while lives; do
      [ $((SECONDS - asked)) -lt 5 ] || kill -KILL "$pid" 2>/dev/null || true
      sleep 0.02
    done
    echo "nats.sh: stopped"
  fi
  rm -f "$dir"/nats-server_*.ports "$dir/port" "$dir/monitor" "$dir/nats.pid"
}

status() {
  local about
  if ! lives; then
    [ ! -e "$dir/nats.pid" ] || { echo "nats.sh: it was killed; $dir/nats.log ends with:"; tail -n 5 "$dir/nats.log"; }
    [ -e "$dir/nats.pid" ] || echo "nats.sh: it does not run ($dir)"
    exit 1
  fi
  answers || { echo "nats.sh: process $pid does not answer; see $dir/nats.log"; exit 1; }
  about=$(ask varz)
  field() { grep -o "\"$1\": *[^,]*" <<<"$about" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'; }
  printf '%-12s %s\n' server "nats-server $(field version)" address "127.0.0.1:$(cat "$dir/port")" \
    monitor "127.0.0.1:$(cat "$dir/monitor")" process "$pid" started "$(field start)" \
    connections "$(field connections)" \
    TLS "$(grep -q '^tls' "$dir/nats.conf" && echo "1.2 and newer, $dir/certificates" || echo no)" \
    JetStream "$(grep -q '^jetstream' "$dir/nats.conf" && echo "$dir/store" || echo no)" log "$dir/nats.log"
}

tls=false jetstream=false dir='' port=-1 command=${1:-}
[ $# -eq 0 ] || shift
while [ $# -gt 0 ]; do
  case "$1" in
    --tls) tls=true ;;
    --jetstream) jetstream=true ;;
    --dir) [ $# -gt 1 ] || usage; dir=$(absolute "$2"); shift ;;
    --port) [[ ${2:-} =~ ^[0-9]+$ ]] || usage; port=$2; shift ;;
    *) usage ;;
  esac
  shift
done
[ -n "$dir" ] || dir=$root/_build/nats/$($tls && echo tls || echo plain)
case "$command" in
  build | start | stop | status) "$command" ;;
  --help | -h) sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) usage ;;
esac
