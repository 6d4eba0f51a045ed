# shellcheck shell=bash
# What the scripts share. Sourced, never run. Writes nothing.

# A path as the caller meant it, whatever directory the script changes to later.
absolute() {
  case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
  esac
}

# Runs a command so that a signal to this script reaches it, and waits until it has gone. Sets
# `child_status`, and `interrupted` to 128 + the signal if there was one.
# shellcheck disable=SC2034 # both are read by the scripts that source this
run_child() {
  interrupted=0
  "$@" &
  local child=$!
  trap 'interrupted=130; kill -TERM "$child" 2>/dev/null || true' INT
  trap 'interrupted=143; kill -TERM "$child" 2>/dev/null || true' TERM HUP
  while true; do
    child_status=0
    wait "$child" || child_status=$?
    # A signal ends `wait` before it ends the child.
    kill -0 "$child" 2>/dev/null || break
  done
  trap - INT TERM HUP
}
