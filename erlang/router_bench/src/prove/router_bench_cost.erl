%% @doc What recording costs, beside what it is compared with, in one run.
%%
%% Each loop is timed several times in turn with the others, on one scheduler and on all of them; a
%% figure is the median, in nanoseconds for each pass of the loop.
%% @private
-module(router_bench_cost).

-export([main/0, measure/0, probe_effect/1]).

-define(PASSES, 400000).
-define(TURNS, 15).
%% Short turns, many of them: what disturbs the machine then hits single turns.
-define(EFFECT_PASSES, 20000).
-define(EFFECT_TURNS, 60).

%% @doc Prints the table, and what recorder and sampler cost the reference router; ends the VM.
-spec main() -> no_return().
main() ->
    io:put_chars(format(measure())),
    {ok, #{bare_ns := BareNs} = Effect} = probe_effect(ref_router_adapter),
    io:format("~nprobe effect on the throughput of a router that takes ~b ns for a request "
              "(wanted: at most 1 %):~n", [round(BareNs)]),
    [io:format("  ~-24s ~6.2f %~n", [What, 100 * maps:get(What, Effect)])
     || What <- [recorder, sampler, recorder_and_sampler]],
    halt(0).

%% @doc By what share throughput falls when the closed loop is recorded, sampled, and both, against
%% the same requests without; within one run, on all schedulers. In each turn the four are measured
%% once, in an order that is rotated from turn to turn; a share is the median over the turns.
-spec probe_effect(module()) ->
          {ok, #{bare_ns := float(), recorder := float(), sampler := float(),
                 recorder_and_sampler := float()}} | {error, term()}.
probe_effect(Adapter) ->
    {ok, Plan} = router_bench_plan:new(#{adapter => Adapter}),
    router_bench_router:with(Plan, fun(State) ->
        Recorder = recorder(),
        Tally = router_bench_outcome:new(),
        Bare = fun() -> on_all(fun(Left) -> bare(Adapter, State, Left) end) end,
        Recorded = fun() ->
                           on_all(fun(Left) -> recorded(Adapter, State, Recorder, Tally, Left) end)
                   end,
        Loops = [{bare, Bare}, {recorder, Recorded},
                 {sampler, fun() -> sampled(Adapter, State, Bare) end},
                 {recorder_and_sampler, fun() -> sampled(Adapter, State, Recorded) end}],
        _ = turn(0, Loops),
        Turns = [turn(Turn, Loops) || Turn <- lists:seq(1, ?EFFECT_TURNS)],
        Share = fun(Name) ->
                        median([1 - BareNs / Ns || #{bare := BareNs, Name := Ns} <- Turns])
                end,
        {ok, #{bare_ns => median([BareNs || #{bare := BareNs} <- Turns]),
               recorder => Share(recorder), sampler => Share(sampler),
               recorder_and_sampler => Share(recorder_and_sampler)}}
    end).

turn(Turn, Loops) ->
    {Last, First} = lists:split(Turn rem length(Loops), Loops),
    maps:from_list([{Name, Loop()} || {Name, Loop} <- First ++ Last]).

on_all(Loop) ->
    timed(Loop, erlang:system_info(schedulers_online), ?EFFECT_PASSES).

sampled(Adapter, State, Loop) ->
    Sampler = router_bench_sampler:start_link(Adapter, State, 50),
    ok = router_bench_sampler:resume(Sampler),
    Ns = Loop(),
    ok = router_bench_sampler:pause(Sampler),
    _ = router_bench_sampler:stop(Sampler),
    Ns.

bare(_Adapter, _State, 0) -> ok;
bare(Adapter, State, Left) ->
    {ok, _} = Adapter:route(Adapter:request(Left, State), State),
    bare(Adapter, State, Left - 1).

%% What the closed loop does for each request.
recorded(_Adapter, _State, _Recorder, _Tally, 0) -> ok;
recorded(Adapter, State, Recorder, Tally, Left) ->
    Request = Adapter:request(Left, State),
    Start = router_bench_nif:start(),
    ok = router_bench_outcome:sent(Tally),
    ok = router_bench_outcome:route(Adapter, Request, State),
    _ = router_bench_nif:stop(Recorder, Start),
    recorded(Adapter, State, Recorder, Tally, Left - 1).

%% @doc The median cost in nanoseconds of each loop, on one scheduler and on all.
-spec measure() -> #{one := #{atom() => float()}, all := #{atom() => float()}}.
measure() ->
    #{one => medians(1), all => medians(erlang:system_info(schedulers_online))}.

medians(Processes) ->
    Turns = [[{Name, timed(Loop, Processes)} || {Name, Loop} <- loops()]
             || _ <- lists:seq(1, ?TURNS)],
    maps:from_list([{Name, median([proplists:get_value(Name, Turn) || Turn <- Turns])}
                    || {Name, _} <- loops()]).

loops() ->
    Recorder = recorder(),
    [{two_empty_calls, fun two_empty/1},
     {start_and_stop, fun(Left) -> start_stop(Recorder, Left) end},
     {two_monotonic_time_and_record, fun(Left) -> monotonic(Recorder, Left) end}].

%% One for the whole measurement, because a new one's memory is cold.
recorder() ->
    case get(?MODULE) of
        undefined ->
            Recorder = router_bench_nif:recorder_new(erlang:system_info(schedulers)),
            undefined = put(?MODULE, Recorder),
            Recorder;
        Recorder ->
            Recorder
    end.

%% Nanoseconds for each pass, when that many processes run the loop at once.
timed(Loop, Processes) ->
    timed(Loop, Processes, ?PASSES).

timed(Loop, Processes, Passes) ->
    Self = self(),
    Pids = [spawn_link(fun() ->
                               receive go -> ok end,
                               Start = erlang:monotonic_time(nanosecond),
                               ok = Loop(Passes),
                               Self ! {self(), erlang:monotonic_time(nanosecond) - Start}
                       end) || _ <- lists:seq(1, Processes)],
    lists:foreach(fun(Pid) -> Pid ! go end, Pids),
    lists:max([receive {Pid, Ns} -> Ns end || Pid <- Pids]) / Passes.

two_empty(0) -> ok;
two_empty(Left) ->
    _ = router_bench_nif:empty(),
    _ = router_bench_nif:empty(),
    two_empty(Left - 1).

start_stop(_Recorder, 0) -> ok;
start_stop(Recorder, Left) ->
    Start = router_bench_nif:start(),
    _ = router_bench_nif:stop(Recorder, Start),
    start_stop(Recorder, Left - 1).

monotonic(_Recorder, 0) -> ok;
monotonic(Recorder, Left) ->
    Start = erlang:monotonic_time(),
    _ = router_bench_nif:record(Recorder, erlang:monotonic_time() - Start),
    monotonic(Recorder, Left - 1).

median(Values) ->
    lists:nth(length(Values) div 2 + 1, lists:sort(Values)).

format(#{one := One, all := All}) ->
    Names = [two_empty_calls, start_and_stop, two_monotonic_time_and_record],
    Ratio = fun(A, B, Costs) -> maps:get(A, Costs) / maps:get(B, Costs) end,
    [io_lib:format("~-34s ~14s ~14s~n", ["ns for each pass", "1 scheduler",
                                        io_lib:format("all ~b", [schedulers()])]),
     [io_lib:format("~-34s ~14.1f ~14.1f~n", [Name, maps:get(Name, One), maps:get(Name, All)])
      || Name <- Names],
     io_lib:format("~nstart and stop / two empty calls                 ~.2f (wanted: at most 1.75)~n"
                   "start and stop, all schedulers / one             ~.2f (wanted: at most 1.10)~n"
                   "two monotonic_time and record / start and stop   ~.2f (wanted: at least 4)~n"
                   "clock: ~0p~n",
                   [Ratio(start_and_stop, two_empty_calls, One),
                    maps:get(start_and_stop, All) / maps:get(start_and_stop, One),
                    Ratio(two_monotonic_time_and_record, start_and_stop, One),
                    router_bench_nif:info()])].

schedulers() ->
    erlang:system_info(schedulers_online).
