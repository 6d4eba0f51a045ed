%% @doc What it costs a node to have a request recorded, measured in it, on a recording of its own.
%%
%% Counted is what is done for a request because it is watched. What `telemetry' does to find its handlers
%% is the router's own, watched or not.
%% @private
-module(router_bench_watch_cost).

-export([measure/1, reading_ns/0]).

-define(REQUESTS, 1000).
%% Short turns, many of them: what disturbs the machine then hits single turns.
-define(TURNS, 31).

%% @doc Nanoseconds of a request: the median over turns.
-spec measure(router_bench_watch:what()) -> float().
measure(What) ->
    Cost = self(),
    % What is recorded belongs to a process that ends.
    {Pid, Monitor} = spawn_monitor(fun() ->
        Recording = router_bench_recording:new(source(What)),
        ok = router_bench_recording:open(Recording),
        Cost ! {self(), median([turn(fun() -> request(What, Recording) end)
                                || _ <- lists:seq(1, ?TURNS)])}
    end),
    receive
        {Pid, Ns} ->
            true = demonitor(Monitor, [flush]),
            Ns;
        {'DOWN', Monitor, process, Pid, Reason} ->
            exit({cost, Reason})
    end.

%% @doc Nanoseconds of a reading of the emulator's clock.
-spec reading_ns() -> float().
reading_ns() ->
    median([turn(fun erlang:monotonic_time/0) || _ <- lists:seq(1, ?TURNS)]).

source(calls) -> calls;
source({spans, _, _}) -> spans.

%% What `router_bench_mark' does too.
request(calls, Recording) ->
    _ = persistent_term:get(?MODULE, none),
    Start = router_bench_recording:started(Recording),
    _ = persistent_term:get(?MODULE, none),
    router_bench_recording:ended(Recording, Start, ok);
request({spans, [Prefix | _], Answer}, Recording) ->
    Start = erlang:monotonic_time(),
    Config = {Recording, Answer},
    ok = router_bench_recording:span(Prefix ++ [start], #{monotonic_time => Start}, #{}, Config),
    router_bench_recording:span(Prefix ++ [stop], #{monotonic_time => Start + 1000, duration => 1000},
                                #{}, Config).

turn(Do) ->
    BeforeNs = erlang:monotonic_time(nanosecond),
    ok = times(?REQUESTS, Do),
    (erlang:monotonic_time(nanosecond) - BeforeNs) / ?REQUESTS.

times(0, _Do) ->
    ok;
times(Left, Do) ->
    _ = Do(),
    times(Left - 1, Do).

median(Figures) ->
    lists:nth(length(Figures) div 2 + 1, lists:sort(Figures)).
