%% @doc Evidence about the machine over the measured slices of a block, so that "the router got
%% slower" and "the machine was disturbed" can be told apart.
%%
%% Two hiccup meters and the kernel's counters, slice by slice; fixed work timed before the first and
%% after the last, and two clocks compared. Nothing of it corrects a figure.
%% @private
-module(router_bench_evidence).

-export([open/0, open/1, resume/1, pause/1, close/1]).

-export_type([evidence/0, watch/0, kernels/0]).

%% As the report has it.
-type evidence() :: #{hiccups => #{native := percentiles(), beam := percentiles()},
                      machine => #{atom() => number()},
                      kernels => #{before := kernels(), 'after' := kernels()},
                      clock_drift_ppm => float()}.
-type percentiles() :: #{atom() => non_neg_integer()}.
-type kernels() :: #{cpu_ns := router_bench_nif:ns(), memory_ns := router_bench_nif:ns()}.
-opaque watch() :: #{kernels := kernels() | none, clocks := clocks(),
                     native := router_bench_nif:recorder(), beam := router_bench_nif:recorder(),
                     machine := router_bench_nif:counters(),
                     meters := paused | {router_bench_nif:hiccup(), pid()}}.
%% What the clock that times requests was ahead of the operating system's, and when.
-type clocks() :: {AheadNs :: integer(), AtNs :: router_bench_nif:ns()}.

%% Of several readings of two clocks the one with the least time between counts: whoever is taken
%% off the processor between two readings sees them apart.
-define(CLOCK_READINGS, 16).

%% @doc Begins, before the first measured slice; watches nothing yet.
-spec open() -> watch().
open() -> open(with_kernels).

%% @doc The same, in a BEAM that has other things to do without the fixed work, which takes 0.1 s of a
%% processor and 64 MiB.
-spec open(with_kernels | without_kernels) -> watch().
open(Kernels) ->
    % One writer each: the shard that threads share is enough.
    #{kernels => case Kernels of
                     with_kernels -> router_bench_nif:kernels();
                     without_kernels -> none
                 end,
      clocks => clocks(),
      native => router_bench_nif:recorder_new(0), beam => router_bench_nif:recorder_new(0),
      machine => router_bench_nif:counters_new(), meters => paused}.

%% @doc Watches from now on. What it starts ends with the caller.
-spec resume(watch()) -> watch().
resume(#{native := Native, beam := Beam, machine := Machine, meters := paused} = Watch) ->
    ok = router_bench_nif:counters_resume(Machine),
    Watch#{meters := {router_bench_nif:hiccup_start(Native), router_bench_hiccup:start_link(Beam)}}.

%% @doc Watches no more: nothing of it runs until {@link resume/1}.
-spec pause(watch()) -> watch().
pause(#{machine := Machine, meters := {Native, Beam}} = Watch) ->
    ok = router_bench_hiccup:stop(Beam),
    ok = router_bench_nif:hiccup_stop(Native),
    ok = router_bench_nif:counters_pause(Machine),
    Watch#{meters := paused}.

%% @doc Ends, after the last measured slice.
-spec close(watch()) -> evidence().
close(#{kernels := Kernels, clocks := Clocks, native := Native, beam := Beam, machine := Machine,
        meters := paused}) ->
    Hiccups = fun(Recorder) -> maps:remove(encoded, router_bench_nif:recorder_snapshot(Recorder)) end,
    Evidence = #{hiccups => #{native => Hiccups(Native), beam => Hiccups(Beam)},
                 machine => router_bench_nif:counters_figures(Machine),
                 clock_drift_ppm => drift_ppm(Clocks, clocks())},
    case Kernels of
        none -> Evidence;
        _ -> Evidence#{kernels => #{before => Kernels, 'after' => router_bench_nif:kernels()}}
    end.

clocks() ->
    {_, AheadNs, AtNs} = lists:min([both_clocks() || _ <- lists:seq(1, ?CLOCK_READINGS)]),
    {AheadNs, AtNs}.

both_clocks() ->
    BeforeNs = router_bench_nif:now(),
    OsNs = router_bench_nif:os_now(),
    AfterNs = router_bench_nif:now(),
    {AfterNs - BeforeNs, (BeforeNs + AfterNs) div 2 - OsNs, OsNs}.

drift_ppm({AheadNs, StartNs}, {AheadAfterNs, EndNs}) ->
    abs(AheadAfterNs - AheadNs) * 1.0e6 / max(1, EndNs - StartNs).
