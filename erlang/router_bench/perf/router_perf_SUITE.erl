%% @doc The benchmark as a test suite: `rebar3 as perf ct'.
%%
%% Settings are the `PERF_*' variables; README.md has them. The report goes to `PERF_REPORT_FILE',
%% by default to a new `perf_baseline_<time>.json' in `ARTIFACTS_DIR' (`_artifacts').
-module(router_perf_SUITE).

-export([all/0, suite/0, cp1/1]).

%% The run has a time limit of its own; this one only catches a run that ignores it.
suite() ->
    [{timetrap, {hours, 25}}].

all() ->
    [cp1].

cp1(_Config) ->
    File = report_file(),
    case router_bench_settings:options() of
        {ok, Options} ->
            case on_console(fun() -> router_bench:run(Options#{report_file => File}) end) of
                {ok, _Report} ->
                    {comment, File};
                {error, {failed, Reason, _Report}} ->
                    ct:fail("the run failed, its report is ~ts: ~ts", [File, Reason]);
                {error, Reason} ->
                    ct:fail(Reason)
            end;
        {error, Message} ->
            ct:fail(Message)
    end.

%% Progress belongs on the console, not into Common Test's pages. A process of its own, because the
%% test case's own group leader must stay.
on_console(Run) ->
    Case = self(),
    Runner = spawn_link(fun() ->
                                true = group_leader(whereis(user), self()),
                                Case ! {self(), Run()}
                        end),
    receive {Runner, Result} -> Result end.

report_file() ->
    case os:getenv("PERF_REPORT_FILE", "") of
        "" ->
            Time = calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]),
            Compact = [C || C <- Time, C =/= $-, C =/= $:],
            Name = "perf_baseline_" ++ Compact ++ ".json",
            from_start(filename:join(os:getenv("ARTIFACTS_DIR", "_artifacts"), Name));
        File ->
            from_start(File)
    end.

%% Common Test changes directory; relative names are meant from where the command was typed.
from_start(File) ->
    filename:absname(File, os:getenv("PWD", ".")).
