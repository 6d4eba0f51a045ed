//! What stands at the end of each help: examples that the parser takes, and every exit code.

/// The help of a command that has settings.
macro_rules! with_settings {
    ($help:literal) => {
        concat!(
            $help,
            "\n\nEach setting is a flag, a variable in brackets, or a key of perf/perf_gate.toml with the \
             flag's\nname and `_` for `-`: the flag outranks the variable, the variable the file. An \
             empty variable\ncounts as unset."
        )
    };
}

/// Of the program.
pub(super) const PROGRAM: &str = "\
Examples:
  perf-gate init
  perf-gate run
  perf-gate check --baseline perf/baseline_cp1.json --policy perf/policy_cp1.json --candidate a.json
  perf-gate verify

Where a file is read, `-` is standard input, once. The answer is on standard output, all talk on
standard error; with --format=json the answer is one JSON document.

Exit codes:
  0  PASS          every rule holds
  1  REGRESSION    at least one rule is violated
  2  INVALID       a file is missing, malformed or incomplete; wrong usage; a failed write
  3  INCONCLUSIVE  the blocks do not decide, too few samples, or arrivals were skipped
  4  INCOMPARABLE  the reports were measured under different conditions";

pub(super) const INIT: &str = "\
Examples:
  perf-gate init
  perf-gate init --app my_router --ci github --show

Exit codes:
  0  written, or shown; what is there already is kept
  2  nothing was written: no application, or several; a file cannot be read or written; wrong usage";

pub(super) const MANUALS: &str = "\
Examples:
  perf-gate manuals --prefix /usr/local

Exit codes:
  0  written
  2  a file cannot be written; wrong usage";

pub(super) const DOCTOR: &str = with_settings!(
    "\
Examples:
  perf-gate doctor
  perf-gate doctor --adapter my_router_perf_adapter --format json

Exit codes:
  0  nothing is wrong
  1  something is wrong: problem and cure, one a line
  2  it could not be found out: a setting, a build, the host; wrong usage
  130 or 143 when interrupted"
);

pub(super) const RUNNER: &str = "\
Examples:
  perf-gate runner
  perf-gate runner --strict

Exit codes:
  0  looked
  1  with --strict: something is bad, or what a rule asks for cannot be found out
  2  wrong usage; a failed write

A rule is what determinism asks for: a report pins it, or a block is marked as disturbed by it. An
advice makes blocks spread less.";

pub(super) const RUN: &str = with_settings!(
    "\
Examples:
  perf-gate run
  perf-gate run --mode smoke --compare replay
  perf-gate run --candidate '_artifacts/perf_baseline_*.json' --format json
  perf-gate run --fault delay_us=200
  perf-gate run --attach rabbit@host --attach-cookie-file cookie --compare frozen

Exit codes:
  0  PASS          every rule holds
  1  REGRESSION    at least one rule is violated, and the verdict is written
  2  INVALID       nothing could be measured or judged: a setting, a file, a build, the host, a run
  3  INCONCLUSIVE  the blocks do not decide, too few samples, or arrivals were skipped
  4  INCOMPARABLE  the reports were measured under different conditions
  130 or 143 when interrupted

Which commit it was finds perf-gate bisect."
);

pub(super) const BENCH: &str = with_settings!(
    "\
Examples:
  perf-gate bench
  perf-gate bench --blocks 3 --rate 2000 --report-file mine.json
  perf-gate bench --attach router@host --rate 500 --concurrency 2
  perf-gate bench --attach a@host,b@host --nodes d1@host,local --rate 500 --concurrency 4
  perf-gate bench --attach router@host --passive my_app.router.route --blocks 5

Exit codes:
  0  measured; the report is sealed
  2  nothing that could be judged was measured: a setting, a build, the host, or the run failed, as
     its report says
  124 out of time; 130 or 143 when interrupted"
);

pub(super) const BISECT: &str = with_settings!(
    "\
Examples:
  perf-gate bisect
  perf-gate bisect --good v1.4.0 --bad HEAD --metric latency_p99_ms
  perf-gate bisect --all-parents --format json

Exit codes:
  0  found: one commit, or those that cannot be told apart as some cannot be measured
  2  nothing could be searched: a setting, a revision, a build, the host, an end without figures
  3  nobody is blamed: the ends do not differ beyond a limit as far as the blocks say, or the blocks
     between them contradict each other
  130 or 143 when interrupted; the same command goes on

Each commit is built in a work tree of its own and measured in turn with the good end, as in a
replay; the project's work tree and index stay as they are."
);

pub(super) const SESSIONS: &str = with_settings!(
    "\
Examples:
  perf-gate sessions
  perf-gate sessions --sessions 1 --rate 20000 --concurrency 4

Exit codes:
  0  measured; at its end stands how `perf-gate freeze` or `bump` goes on
  2  a session measured nothing: a setting, a work tree with changes, a build, the host, the router
  3  a session was measured that no baseline can have; each reason is printed
  124 out of time; 130 or 143 when interrupted

Sessions on different days, or after a restart of the machine, say more about how sessions differ
than sessions in a row: measure them apart with --sessions=1, under the load that the first one
printed."
);

pub(super) const EXPLAIN: &str = with_settings!(
    "\
Examples:
  perf-gate explain
  perf-gate explain --good HEAD~3 --format json
  perf-gate explain --fault delay_us=200

Exit codes:
  0  explained, whatever differs; the explanation is among the artifacts
  2  nothing was: a setting, a revision, a build, the host, the router; wrong usage
  130 or 143 when interrupted

Nothing is judged, and nothing that is judged is measured under trace. `perf-gate run` does the
same by itself after a REGRESSION, in the time that is left. How to read it stands in
docs/from_red_to_cause.md."
);

pub(super) const CHECK: &str = "\
Examples:
  perf-gate check --baseline perf/baseline_cp1.json --policy perf/policy_cp1.json \\
    --candidate '_artifacts/perf_baseline_*.json' --artifacts _artifacts
  perf-gate import --format k6 k6.json --timestamp 2026-01-31T12:00:00Z | \\
    perf-gate check --baseline k6_baseline.json --policy policy.json --candidate - --format json

Exit codes:
  0  PASS          every rule holds
  1  REGRESSION    at least one rule is violated
  2  INVALID       a file is missing, malformed or incomplete; wrong usage; a failed write
  3  INCONCLUSIVE  the blocks do not decide, too few samples, or arrivals were skipped
  4  INCOMPARABLE  the reports were measured under different conditions";

pub(super) const TREND: &str = "\
Examples:
  perf-gate trend _artifacts
  perf-gate trend --html trend.html 'artifacts/*/perf_baseline_*.json'
  perf-gate trend _artifacts --format json

Exit codes:
  0  the trend is printed
  2  a file cannot be read; wrong usage; a failed write

Of a folder and those in it count perf_baseline_*.json, perf_replay_*.json and perf_verdict_*.json;
those of one run belong together by the rest of their names. Of reports only the heads are read.";

pub(super) const DIFF: &str = "\
Examples:
  perf-gate diff perf/baseline_cp1.json _artifacts/perf_baseline_1.json
  perf-gate diff _artifacts/perf_verdict_1.json _artifacts/perf_verdict_2.json --format json

Exit codes:
  0  printed, whatever differs
  2  a file cannot be read; wrong usage; a failed write";

pub(super) const MERGE: &str = "\
Examples:
  perf-gate merge --routers each a.json b.json --output merged.json
  perf-gate merge --routers shared --output merged.json --format json a.json b.json - < c.json

Exit codes:
  0  the report is written
  2  nothing was: a report cannot be read, or is not of one measurement with the others; wrong usage

Block N is added to block N: requests, errors and distributions as counts, throughput as the sum of
each machine's rate. No clock is compared with another's, so slices and sampled series are absent.
A merged report is frozen, checked and exported as any other, and compares with one of as many
machines under the same loads. docs/scale.md has it all.";

pub(super) const FLAME: &str = with_settings!(
    "\
Examples:
  perf-gate flame
  perf-gate flame --good HEAD~1 --seconds 30 --artifacts out

Exit codes:
  0  perf_flame_*.svg is written; a browser opens it
  2  nothing was drawn: a setting, a build, the host, the router; wrong usage
  69 perf or the JIT cannot be used here: the reason is printed, and what to do
  124 out of time; 130 or 143 when interrupted

Both builds get the same requests in a closed loop, in turn, under the baseline's load, while
Linux's perf samples their threads. They run with +JPperf: nothing of it is a figure to judge by."
);

pub(super) const TRANSPORT: &str = with_settings!(
    "\
Examples:
  perf-gate transport
  perf-gate transport --variants local,nats --blocks 20 --format json
  perf-gate transport --variant-option pool --variants 1,8,64

Exit codes:
  0  measured; where the policy limits a ratio, every limit holds
  1  a ratio is beyond its limit
  2  nothing could be compared: a setting, a build, the host, a transport, a run; wrong usage
  3  the blocks do not say whether a limit holds
  124 out of time; 130 or 143 when interrupted

Every value has a BEAM of its own in each block, all alive at once, and gets the same load: that of
the baseline is not taken, as every value has to serve it. Limits stand under ratios in the policy."
);

pub(super) const SIMULATE: &str = "\
Examples:
  perf-gate simulate --baseline perf/baseline_cp1.json --policy perf/policy_cp1.json
  perf-gate simulate --policy perf/policy_cp1.json --spread 5 --spikes 10
  perf-gate simulate --policy perf/policy_cp1.json --replay frozen.json --candidate other.json
  perf-gate simulate --policy perf/policy_cp1.json --spread 5 --searches 2000 --commits 60

Exit codes:
  0  simulated
  2  nothing was: a file cannot be read, has too few blocks, or has no relative limit; wrong usage";

pub(super) const PLAN: &str = "\
Examples:
  perf-gate plan --baseline perf/baseline_cp1.json --policy perf/policy_cp1.json

Exit codes:
  0  printed, whether or not the policy's last look is enough
  2  a file cannot be read, has too few blocks, or has no relative limit; wrong usage";

pub(super) const SELFTEST: &str = "\
Examples:
  perf-gate selftest --baseline perf/baseline_cp1.json --policy perf/policy_cp1.json \\
    --candidate _artifacts/perf_baseline_1.json --replay _artifacts/perf_replay_1.json

Exit codes:
  0  each rule turned red, and green, as it must
  2  one did not, or nothing could be tested; wrong usage";

pub(super) const PROVE: &str = with_settings!(
    "\
Examples:
  perf-gate prove
  perf-gate prove --gates 50 --planted-gates 0 --directory /var/tmp/prove

Exit codes:
  0  the tables are printed
  2  a run measured nothing: a setting, a work tree with changes, a build, the host, the router
  130 or 143 when interrupted

What gates are judged against is this commit itself, measured first, under the load of --baseline
if there is one. Gates are kept in --directory, and what it has of them is not measured again: name
another one for another machine, or with other work beside it."
);

pub(super) const FREEZE: &str = "\
Examples:
  perf-gate freeze --session a.json --session b.json --session c.json \\
    --what 'the first baseline' --why-acceptable 'it is what production has' \\
    --why-policy-holds 'its limits are those of the release' \\
    --artifact https://example.org/artifacts/7

Exit codes:
  0  baseline and record are written; how to commit them is printed
  2  nothing was written: refused, with each reason; a file cannot be read or written; wrong usage";

pub(super) const BUMP: &str = "\
Examples:
  perf-gate bump --reason trade-off --session a.json --session b.json --session c.json \\
    --what 'requests are signed' --why-acceptable 'it was asked for' \\
    --why-policy-holds 'the limits are relative' --artifact https://example.org/artifacts/8

Exit codes:
  0  baseline and record are written; how to commit them is printed
  2  nothing was written: refused, with each reason; a file cannot be read or written; wrong usage";

pub(super) const AMEND: &str = "\
Examples:
  perf-gate amend --what 'p99 may grow by 25 %' --why-acceptable 'its noise is 10 %' \\
    --why-policy-holds 'what must be caught is 50 %' --artifact https://example.org/artifacts/9

Exit codes:
  0  the record is written; how to commit it is printed
  2  nothing was written: refused, with each reason; a file cannot be read or written; wrong usage";

pub(super) const ROLLBACK: &str = "\
Examples:
  perf-gate rollback 4 --what 'back to what 0004 froze' --why-acceptable 'the trade was undone' \\
    --why-policy-holds 'it is that of then' --artifact https://example.org/artifacts/10

Exit codes:
  0  baseline and record are written; how to commit them is printed
  2  nothing was written: refused, with each reason; a file cannot be read or written; wrong usage";

pub(super) const VERIFY: &str = "\
Examples:
  perf-gate verify
  perf-gate verify --against refs/remotes/origin/main
  perf-gate verify --files --format json

Exit codes:
  0  the contract is kept
  1  something was found: file, problem and cure, one a line
  2  it could not be found out; wrong usage";

pub(super) const BUDGET: &str = "\
Examples:
  perf-gate budget
  perf-gate budget --candidate _artifacts/perf_baseline_1.json --format json

Exit codes:
  0  printed
  2  a file cannot be read, or the candidate cannot be judged; wrong usage";

pub(super) const LINT: &str = "\
Examples:
  perf-gate lint
  perf-gate lint --root ../router --format json

Exit codes:
  0  nothing was found
  1  something was found: file, problem and cure, one a line
  2  it could not be found out; wrong usage";

pub(super) const EXPORT: &str = "\
Examples:
  perf-gate export --format csv perf/baseline_cp1.json
  perf-gate export --format openmetrics --no-timestamps - < report.json
  perf-gate export --format github-action-benchmark --better bigger report.json

Formats:
  openmetrics              gauges in base units; also Prometheus' text format. promtool tsdb
                           create-blocks-from openmetrics stores them under the report's time
  hgrm                     HdrHistogram's percentile distribution of all response times, in us
  hlog                     HdrHistogram's interval log of every distribution, in ns
  bmf                      Bencher's metric format: bencher run --adapter json
  github-action-benchmark  a file of one direction: customSmallerIsBetter, or with --better=bigger
                           customBiggerIsBetter
  csv, json-lines          every figure of the report and its blocks, one a line

Exit codes:
  0  printed
  2  the report cannot be read, ended early, contradicts itself or lacks what is asked for; wrong
     usage";

pub(super) const IMPORT: &str = "\
Examples:
  perf-gate import --format k6 k6.json --timestamp 2026-01-31T12:00:00Z --exit-code 0 -o report.json
  perf-gate import --format wrk2 - --timestamp 2026-01-31T12:00:00Z < wrk2.txt
  perf-gate import --format hgrm --unit us latency.hgrm --timestamp 2026-01-31T12:00:00Z
  perf-gate import --format basho_bench summary.csv get_latencies.csv \\
    --timestamp 2026-01-31T12:00:00Z
  perf-gate import --format erlperf erlperf.txt --timestamp 2026-01-31T12:00:00Z \\
    --commit 0123456789abcdef0123456789abcdef01234567

What is read:
  k6           p95 and, where --summary-trend-stats names it, p99 of successful requests, requests a
               second, failed requests; of --summary-export or handleSummary
  wrk2         p95, p99, requests a second and errors, of the output with --latency
  hgrm         p95 and p99 of HdrHistogram's text, in the unit that --unit says
  basho_bench  medians over windows of p95 and p99, requests a second, errors
  erlperf      calls a second, for samples of the default length

What a tool does not say is absent, and no rule about it can pass: a policy for such reports has
rules for what they have, and `gate.require_all_metrics_present` false. Reports of a tool compare
with its own alone. docs/other_tools.md has such a policy.

Exit codes:
  0  the report is written
  2  nothing was: a file is missing, damaged or cut short, or measured nothing; wrong usage";
