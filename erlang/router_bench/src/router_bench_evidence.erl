%% @doc Evidence about the machine over the measured phases of a round, so that "the router got
%% slower" and "the machine was disturbed" can be told apart.
%%
%% Two hiccup meters, the kernel's counters, fixed work timed before and after, and two clocks
%% compared. Nothing of it corrects a figure.
-module(router_bench_evidence).

-export([start/0, stop/1]).

-export_type([evidence/0, running/0, kernels/0]).

%% As the report has it.
-type evidence() :: #{hiccups => #{native := percentiles(), beam := percentiles()},
                      machine => router_bench_machine:growth(),
                      kernels => #{before := kernels(), 'after' := kernels()},
                      clock_drift_ppm => float()}.
-type percentiles() :: #{atom() => non_neg_integer()}.
-type kernels() :: #{cpu_ns := router_bench_nif:ns(), memory_ns := router_bench_nif:ns()}.
-opaque running() :: #{kernels := kernels(), machine := router_bench_machine:reading(),
                       clocks := clocks(), native := router_bench_nif:hiccup(), beam := pid()}.
%% What the clock that times requests was ahead of the operating system's, and when.
-type clocks() :: {AheadNs :: integer(), AtNs :: router_bench_nif:ns()}.

%% Of several readings of two clocks the one with the least time between counts: whoever is taken
%% off the processor between two readings sees them apart.
-define(CLOCK_READINGS, 16).

%% @doc Starts watching, just before the first measured phase. What it starts ends with the caller.
-spec start() -> running().
start() ->
    Kernels = router_bench_nif:kernels(),
    Machine = router_bench_machine:read(),
    % What reading left behind would be measured as the router's memory.
    true = erlang:garbage_collect(),
    #{kernels => Kernels, machine => Machine, clocks => clocks(),
      native => router_bench_nif:hiccup_start(), beam => router_bench_hiccup:start_link()}.

%% @doc Ends watching, just after the last measured phase.
-spec stop(running()) -> evidence().
stop(#{kernels := Kernels, machine := Machine, clocks := Clocks, native := Native, beam := Beam}) ->
    BeamHiccups = router_bench_hiccup:stop(Beam),
    NativeHiccups = router_bench_nif:hiccup_stop(Native),
    ClocksAfter = clocks(),
    MachineAfter = router_bench_machine:read(),
    #{hiccups => #{native => maps:remove(encoded, NativeHiccups),
                   beam => maps:remove(encoded, BeamHiccups)},
      machine => router_bench_machine:growth(Machine, MachineAfter),
      kernels => #{before => Kernels, 'after' => router_bench_nif:kernels()},
      clock_drift_ppm => drift_ppm(Clocks, ClocksAfter)}.

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
