#!/usr/bin/env bash
# Says what of this machine makes a benchmark believable, and what disturbs it.
#
# Usage: scripts/runner_check.sh [--strict]
# Exit: 0; with --strict 1 if anything is bad, or a check that the rules ask for cannot be made; 2 wrong
# usage.
# Settings, for tests: RUNNER_CHECK_ROOT in front of /proc and /sys, RUNNER_CHECK_ROOT_LATER for the
# second look at the counters [the same].
# Writes: nothing. Takes half a second.
#
# "rule": the rules of determinism ask for it: a report pins it, or a block is marked as disturbed by
# it. "advice": it makes blocks spread less.
set -euo pipefail
export LC_ALL=C

strict=false
case "$#,${1:-}" in
  0,) ;;
  1,--strict) strict=true ;;
  1,--help | 1,-h) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
root=${RUNNER_CHECK_ROOT:-}
later=${RUNNER_CHECK_ROOT_LATER:-$root}
ok=0 bad=0 unknown=0 failed=false

# The first line of a file, of which nothing but printable ASCII is left: what it says is data.
line() { # file
  { head --bytes=4096 "$1" 2>/dev/null || true; } | head --lines=1 | tr --complement --delete ' -~' \
    | cut --characters=-120
}

say() { # status kind name found [cure]
  printf '%-8s%-7s %-18s %s\n' "$1" "$2" "$3" "$4"
  [ -z "${5:-}" ] || printf '%35s%s\n' 'cure: ' "$5"
  case "$1,$2" in
    ok,*) ok=$((ok + 1)) ;;
    bad,*) bad=$((bad + 1)); failed=true ;;
    unknown,rule) unknown=$((unknown + 1)); failed=true ;;
    unknown,*) unknown=$((unknown + 1)) ;;
  esac
}

# Whether a decimal number is above another.
above() { # number limit
  awk -v number="$1" -v limit="$2" 'BEGIN { exit !(number + 0 > limit + 0) }'
}

cpus=$(grep --count '^cpu[0-9]' "$root/proc/stat" 2>/dev/null || true)
[ "${cpus:-0}" -gt 0 ] 2>/dev/null || cpus=1

kernel() {
  local release
  release=$(line "$root/proc/sys/kernel/osrelease")
  if [ -n "$release" ]; then
    say ok rule kernel "Linux $release"
  else
    say unknown rule kernel "its release cannot be read"
  fi
  if grep --quiet '^flags.* hypervisor' "$root/proc/cpuinfo" 2>/dev/null; then
    say ok advice virtualisation "a virtual machine: its neighbours and its host are out of sight"
  else
    say ok advice virtualisation "none seen"
  fi
}

time_source() {
  local source
  source=$(line "$root/sys/devices/system/clocksource/clocksource0/current_clocksource")
  case "$source" in
    tsc | kvm-clock | arch_sys_counter) say ok rule "time source" "$source" ;;
    hpet | acpi_pm | jiffies | refined-jiffies)
      say bad rule "time source" "$source: slow or coarse" \
        "boot with clocksource=tsc, if the processor's is stable" ;;
    *) say unknown rule "time source" "${source:-cannot be read}" ;;
  esac
}

governor() {
  local file wrong='' seen=0
  for file in "$root"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    [ -e "$file" ] || continue
    seen=$((seen + 1))
    [ "$(line "$file")" = performance ] || wrong=$(line "$file")
  done
  if [ "$seen" -eq 0 ]; then
    say unknown advice governor "no frequency control here: the host decides"
  elif [ -n "$wrong" ]; then
    say bad advice governor "$wrong: the clock follows the load" \
      "cpupower frequency-set --governor performance"
  else
    say ok advice governor performance
  fi
}

turbo() {
  local no_turbo boost
  no_turbo=$(line "$root/sys/devices/system/cpu/intel_pstate/no_turbo")
  boost=$(line "$root/sys/devices/system/cpu/cpufreq/boost")
  case "$no_turbo,$boost" in
    1,* | ,0) say ok advice turbo off ;;
    0,*) say bad advice turbo "on: the clock follows the temperature" \
      "echo 1 >/sys/devices/system/cpu/intel_pstate/no_turbo" ;;
    ,1) say bad advice turbo "on: the clock follows the temperature" \
      "echo 0 >/sys/devices/system/cpu/cpufreq/boost" ;;
    *) say unknown advice turbo "cannot be read" ;;
  esac
}

smt() {
  case "$(line "$root/sys/devices/system/cpu/smt/active")" in
    0) say ok advice SMT off ;;
    1) say bad advice SMT "on: two threads share a core" \
      "echo off >/sys/devices/system/cpu/smt/control" ;;
    *) say unknown advice SMT "cannot be read" ;;
  esac
}

# A limit of a parent counts too, so every group up to the root is read.
control_groups() {
  local hierarchies quota='' memory='' set='' path directory name value period
  hierarchies=$(grep -E '^[0-9]+:([a-z_,=]*):/' "$root/proc/self/cgroup" 2>/dev/null || true)
  if [ -z "$hierarchies" ]; then
    say unknown rule "control group" "cannot be read"
    return
  fi
  while IFS=: read -r _ name path; do
    case ",$name," in
      ,,) directory=$root/sys/fs/cgroup ;;
      *,cpu,*) directory=$root/sys/fs/cgroup/cpu ;;
      *,cpuset,*) directory=$root/sys/fs/cgroup/cpuset ;;
      *,memory,*) directory=$root/sys/fs/cgroup/memory ;;
      *) continue ;;
    esac
    case "$path" in *..*) continue ;; esac
    while true; do
      value=$(line "$directory$path/cpu.max")
      case "$value" in "" | max*) ;; *) quota="cpu.max $value" ;; esac
      value=$(line "$directory$path/cpu.cfs_quota_us")
      period=$(line "$directory$path/cpu.cfs_period_us")
      case "$value" in "" | -*) ;; *) quota="cpu.cfs_quota_us $value of $period" ;; esac
      value=$(line "$directory$path/memory.max")
      case "$value" in "" | max) ;; *) memory="memory.max $value" ;; esac
      [ -n "$set" ] || set=$(line "$directory$path/cpuset.cpus.effective")
      [ -n "$set" ] || set=$(line "$directory$path/cpuset.cpus")
      case "$path" in "" | /) break ;; esac
      path=${path%/*}
    done
  done <<<"$hierarchies"
  if [ -n "$quota" ]; then
    say bad rule "control group" "$quota: a quota throttles in bursts" \
      "give the runner whole processors instead (cpuset), without a quota"
  else
    say ok rule "control group" "no processor quota${memory:+, $memory}"
  fi
  if [ -n "$set" ] && [ "$(count_cpus "$set")" -lt "$cpus" ]; then
    say ok advice "processor set" "$set of $cpus: reports pin the count; keep others off these"
  else
    say ok advice "processor set" "all $cpus"
  fi
}

count_cpus() { # list such as 0-3,8
  tr ',' '\n' <<<"$1" | awk -F- '/^[0-9]+(-[0-9]+)?$/ { n += ($2 == "" ? 1 : $2 - $1 + 1) }
    END { print n + 0 }'
}

# Process, its processor time and its name, one a line.
processes() { # root
  local file text name rest
  for file in "$1"/proc/[0-9]*/stat; do
    text=$(head --bytes=1024 "$file" 2>/dev/null | tr --complement --delete ' -~') || continue
    name=${text#*\(}
    rest=${name##*) }
    name=${name%)*}
    # Fields 14 and 15 are user and system time; the rest begins with field 3.
    awk -v pid="${text%% *}" -v name="$name" \
      'NF > 12 { print pid, $12 + $13, substr(name, 1, 40) }' <<<"$rest"
  done
}

other_load() {
  local average before after pressure stolen total busiest
  before=$(cat "$root/proc/stat" 2>/dev/null || true)
  processes "$root" >"$scratch/before"
  sleep 0.5
  after=$(cat "$later/proc/stat" 2>/dev/null || true)
  processes "$later" >"$scratch/after"

  average=$(line "$root/proc/loadavg")
  average=${average%% *}
  if [[ ! "$average" =~ ^[0-9.]+$ ]]; then
    say unknown rule "other load" "the load average cannot be read"
  elif above "$average" "$(awk -v cpus="$cpus" 'BEGIN { print cpus * 0.2 }')"; then
    say bad rule "other load" "load average $average on $cpus processors" \
      "wait, or stop what runs beside it"
  else
    say ok rule "other load" "load average $average on $cpus processors"
  fi

  pressure=$(line "$root/proc/pressure/cpu")
  pressure=${pressure#*avg10=}
  pressure=${pressure%% *}
  if [[ ! "$pressure" =~ ^[0-9.]+$ ]]; then
    say unknown advice pressure "not offered by this kernel"
  elif above "$pressure" 1; then
    say bad advice pressure "some wait for a processor $pressure % of the time" \
      "wait, or stop what runs beside it"
  else
    say ok advice pressure "some wait for a processor $pressure % of the time"
  fi

  # Another process that took more than a twentieth of a processor: 100 ticks are a second.
  busiest=$(awk -v own="$$" 'NR == FNR { before[$1] = $2; next }
    $1 in before && $1 != own && $2 - before[$1] > most { most = $2 - before[$1]; line = $0 }
    END { if (most > 2) print most, line }' "$scratch/before" "$scratch/after")
  if [ -n "$busiest" ]; then
    say bad rule "busiest process" "$(awk '{ printf "%d %% of a processor: %s (%s)", $1 * 2,
      substr($0, index($0, $4)), $2 }' <<<"$busiest")" "stop it, or run it elsewhere"
  else
    say ok rule "busiest process" "none takes a twentieth of a processor"
  fi

  read -r stolen total < <(awk '$1 == "cpu" { n++; sum = 0
      for (i = 2; i <= 9; i++) sum += $i
      steal[n] = $9; all[n] = sum }
    END { if (n == 2) print steal[2] - steal[1], all[2] - all[1]; else print "-", "-" }' \
    <<<"$before"$'\n'"$after")
  if [ "$stolen" = - ]; then
    say unknown rule "steal time" "cannot be read"
  elif above "$stolen" "$(awk -v total="$total" 'BEGIN { print total * 0.01 }')"; then
    say bad rule "steal time" "$stolen of $total ticks went to other guests" \
      "use a dedicated host, or one that is not overcommitted"
  else
    say ok rule "steal time" "$stolen of $total ticks"
  fi
}

swap() {
  local swappiness
  swappiness=$(line "$root/proc/sys/vm/swappiness")
  if [ ! -r "$root/proc/swaps" ]; then
    say unknown advice swap "cannot be read"
  elif [ "$(wc -l <"$root/proc/swaps")" -gt 1 ]; then
    say bad advice swap "on, swappiness ${swappiness:-unknown}: a page may be on disk" "swapoff --all"
  else
    say ok advice swap "off"
  fi
}

huge_pages() {
  local setting
  setting=$(line "$root/sys/kernel/mm/transparent_hugepage/enabled")
  case "$setting" in
    *'[always]'*) say bad advice "huge pages" "always: memory grows in steps of 2 MB" \
      "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled" ;;
    *'['*) say ok advice "huge pages" "$setting" ;;
    *) say unknown advice "huge pages" "cannot be read" ;;
  esac
}

memory_nodes() {
  local nodes=("$root"/sys/devices/system/node/node[0-9]*)
  if [ ! -e "${nodes[0]}" ]; then
    say unknown advice "memory nodes" "cannot be read"
  elif [ "${#nodes[@]}" -gt 1 ]; then
    say bad advice "memory nodes" "${#nodes[@]}: half of the memory is far" \
      "numactl --cpunodebind=0 --membind=0 ./scripts/perf_gate.sh"
  else
    say ok advice "memory nodes" "1"
  fi
}

second_benchmark() {
  local lock="${TMPDIR:-/tmp}/cp1_perf_gate.lock"
  if [ -e "$lock" ] && ! flock --nonblock --shared "$lock" true; then
    say bad rule "second benchmark" "one runs on this host" "wait for it"
  else
    say ok rule "second benchmark" "none"
  fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
kernel
time_source
control_groups
other_load
second_benchmark
governor
turbo
smt
swap
huge_pages
memory_nodes
printf '\n%d ok, %d bad, %d unknown\n' "$ok" "$bad" "$unknown"
if $strict && $failed; then
  exit 1
fi
