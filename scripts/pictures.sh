#!/usr/bin/env bash
# Makes the pictures at the README's opening from what a real run left: the terminal and the HTML report.
#
# Usage: scripts/pictures.sh [DIRECTORY]
#   DIRECTORY   has perf_gate_*.log and perf_report_*.html; of several the newest counts [default: _artifacts]
#
# Needs chromium, which scripts/setup.sh --test installs. Writes: docs/pictures/terminal.svg, report.png.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
directory=${1:-_artifacts}
pictures=docs/pictures

# The newest match, by the time in its name.
newest() { # prefix suffix
  local found
  found=$(find "$directory" -maxdepth 1 -name "$1*$2" | sort | tail -n 1)
  if [ -z "$found" ]; then
    echo "pictures.sh: $directory has no $1*$2; run ./scripts/perf_gate.sh first, or name another directory" >&2
    exit 2
  fi
  realpath "$found"
}

# A log as a picture: one line of text each.
terminal() {
  awk '
    BEGIN { size = 13; advance = 7.83; step = 18; margin = 20; columns = 80 }
    {
      if (length($0) > columns) columns = length($0)
      # Viewers fold spaces that are none of these.
      gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;"); gsub(/ /, "\\&#160;")
      lines[NR] = $0
    }
    END {
      width = columns * advance + 2 * margin; height = NR * step + 2 * margin
      printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\"", \
        width, height, width, height
      print " role=\"img\" aria-label=\"What a run of the gate says, with --explain\">"
      print "<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>"
      printf "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace\""
      printf " font-size=\"%d\" fill=\"#e6edf3\">\n", size
      for (n = 1; n <= NR; n++) {
        fill = lines[n] ~ /^VERDICT:&#160;PASS/ ? " fill=\"#56d364\" font-weight=\"600\"" : ""
        printf "<text x=\"%d\" y=\"%d\"%s>%s</text>\n", margin, margin + n * step - 5, fill, lines[n]
      }
      print "</g>"
      print "</svg>"
    }' "$1"
}

log=$(newest perf_gate_ .log)
report=$(newest perf_report_ .html)
profile=$(mktemp --directory)
trap 'rm --recursive --force "$profile"' EXIT
mkdir --parents "$pictures"
terminal "$log" >"$pictures/terminal.svg"
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync \
  --disable-background-networking --disable-component-update --disable-dev-shm-usage \
  --user-data-dir="$profile" --hide-scrollbars --window-size=1280,1700 \
  --screenshot="$PWD/$pictures/report.png" "file://$report" 2>"$profile/said" ||
  { cat "$profile/said" >&2; exit 1; }
ls -l "$pictures"
