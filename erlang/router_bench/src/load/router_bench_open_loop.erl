%% @doc The open loop: requests arrive at a fixed rate, whether or not the router keeps up. Gives
%% the latency, slice by slice, from the intended start of each request: a router that stalls is
%% charged for every request that should have been sent meanwhile.
%%
%% A dispatcher ({@link router_bench_dispatcher}) hands each arrival to an idle worker. Only when as
%% many requests are in flight as may be is an arrival skipped, and counted. Dispatcher and workers
%% stay from slice to slice, and sleep in between.
%% @private
-module(router_bench_open_loop).

-export([open/1, slice/2, recorders/1, close/1, run/2, seen/1]).
%% Of a loop of one slice that is seen in windows.
-export([run/4]).

-export_type([loop/0, slice/0, result/0, window/0]).

-opaque loop() :: #{context := router_bench_side:context(),
                    tally := router_bench_outcome:tally(),
                    recorders := recorders(router_bench_nif:recorder()),
                    windows := none | {WindowNs :: pos_integer(), Count :: pos_integer()},
                    dispatch := none | {router_bench_nif:dispatch(), pid()},
                    slices := [slice()],               % the latest first
                    counts := #{atom() => non_neg_integer()}}.
-type recorders(Of) :: #{response_time := Of, service_time := Of, dispatch_lag := Of}.
%% `duration_ns' runs from the first intended start to the last answer; percentiles are of the
%% response time, and absent where no request succeeded.
-type slice() :: #{ok := non_neg_integer(), duration_ns := router_bench_nif:ns(),
                   p50_ns => router_bench_nif:ns(), p95_ns => router_bench_nif:ns(),
                   p99_ns => router_bench_nif:ns(), windows => [window()]}.
%% Of the requests whose intended start is in it.
-type window() :: #{offered := non_neg_integer(), ok := non_neg_integer(), p95_ns => router_bench_nif:ns()}.
%% `dispatch_lag' is the dispatcher's own lateness while a worker was idle.
-type result() :: #{duration_ns := router_bench_nif:ns(),
                    slices := [slice()],
                    accounting := router_bench_outcome:accounting(),
                    reasons := [router_bench_outcome:reason()],
                    strays := non_neg_integer(),
                    response_time := router_bench_nif:snapshot(),
                    service_time := router_bench_nif:snapshot(),
                    dispatch_lag := router_bench_nif:snapshot()}.

%% The dispatcher is awake, and in the first slice workers are made and have built their first
%% requests, before the first arrival is intended.
-define(LEAD_NS, 10000000).
%% For the dispatcher to say that it has drained, or given up.
-define(ANSWER_TIMEOUT_MS, 5000).

%% @doc A loop that has not run yet. Belongs to the caller, as all its slices must.
-spec open(router_bench_side:context()) -> loop().
open(Context) ->
    open(Context, none).

open(Context, Windows) ->
    Schedulers = erlang:system_info(schedulers),
    #{context => Context, tally => router_bench_outcome:new(),
      recorders => maps:from_list([{Quantity, router_bench_nif:recorder_new(Schedulers)}
                                   || Quantity <- [response_time, service_time, dispatch_lag]]),
      windows => Windows, dispatch => none, slices => [], counts => #{}}.

%% @doc Runs for a time at the plan's rate.
-spec slice(loop(), DurationMs :: pos_integer()) -> {ok, slice(), loop()} | {error, term()}.
slice(Loop, DurationMs) ->
    slice(Loop, DurationMs, fun(_StartNs) -> ok end).

slice(#{dispatch := none} = Loop, DurationMs, Begins) ->
    #{context := #{plan := #{max_in_flight := InFlight, share := Share}} = Context, tally := Tally,
      recorders := #{response_time := Response, service_time := Service, dispatch_lag := Lag}} = Loop,
    Workers = max(1, router_bench_share:part(InFlight, Share)),
    Dispatch = case Loop of
                   #{windows := none} ->
                       router_bench_nif:dispatch_new(Workers, Response, Service, Lag);
                   #{windows := Windows} ->
                       router_bench_nif:dispatch_in_windows(Workers, Response, Service, Lag, Windows)
               end,
    Dispatcher = router_bench_dispatcher:start_link(Context, Dispatch, Tally, Workers, Share),
    slice(Loop#{dispatch := {Dispatch, Dispatcher}}, DurationMs, Begins);
slice(#{dispatch := {_, Dispatcher}, context := #{plan := Plan}, slices := Slices} = Loop,
      DurationMs, Begins) ->
    #{rate_per_second := Rate, arrivals := Spacing, seed := Seed, drain_timeout_ms := DrainMs,
      share := Share} = Plan,
    Arrivals = router_bench_share:part(max(1, Rate * DurationMs div 1000), Share),
    StartNs = router_bench_nif:now() + ?LEAD_NS,
    ok = router_bench_dispatcher:run(Dispatcher, {Spacing, Seed + length(Slices)}, StartNs,
                                     {Rate, Arrivals}, DrainMs),
    _ = Begins(StartNs),
    case await(Dispatcher, patience_ms(Plan, DurationMs)) of
        {ok, Ended, EndNs} ->
            {Slice, Next} = ended(Ended, max(1, EndNs - StartNs), Loop),
            {ok, Slice, Next};
        {error, Reason} ->
            {error, Reason}
    end.

%% Poisson arrivals take a random time: their count is fixed, and its standard deviation below a
%% tenth of the mean from 100 arrivals on.
patience_ms(#{arrivals := constant, drain_timeout_ms := DrainMs}, DurationMs) ->
    DurationMs + DrainMs + ?ANSWER_TIMEOUT_MS;
patience_ms(#{arrivals := poisson, drain_timeout_ms := DrainMs}, DurationMs) ->
    2 * DurationMs + DrainMs + ?ANSWER_TIMEOUT_MS.

%% The caller traps exits and watches the router's processes with monitors by name; whoever dies
%% first ends the loop. A worker that dies takes the dispatcher along.
await(Dispatcher, TimeoutMs) ->
    receive
        {Dispatcher, Ended, EndNs} ->
            {ok, Ended, EndNs};
        {'EXIT', Dispatcher, Reason} ->
            {error, {worker_died, Reason}};
        {'DOWN', _Monitor, process, {Name, _Node}, Reason} ->
            router_bench_dispatcher:stop(Dispatcher),
            {error, {router_died, Name, Reason}}
    after TimeoutMs ->
            router_bench_dispatcher:stop(Dispatcher),
            {error, {no_answer, dispatcher}}
    end.

%% A dispatcher that gave up has killed its workers and ended; the next slice has another.
ended(Ended, DurationNs, #{dispatch := {Dispatch, Dispatcher}, windows := Windows, tally := Tally,
                           recorders := #{response_time := Response}, slices := Slices,
                           counts := Counts} = Loop) ->
    #{in_flight := Abandoned} = Counted = router_bench_nif:dispatch_counts(Dispatch),
    Next = case Ended of
               finished ->
                   Loop;
               {abandoned, Stack} ->
                   ok = router_bench_outcome:abandoned(Tally, {Abandoned, Stack}),
                   ok = router_bench_dispatcher:stop(Dispatcher),
                   Loop#{dispatch := none}
           end,
    #{count := Ok} = Figures = router_bench_nif:recorder_slice(Response),
    Slice = (maps:with([p50_ns, p95_ns, p99_ns], Figures))#{ok => Ok, duration_ns => DurationNs},
    Seen = [router_bench_nif:dispatch_windows(Dispatch) || Windows =/= none],
    Sum = maps:map(fun(Key, Count) -> Count + maps:get(Key, Counts, 0) end, Counted),
    {Slice, Next#{slices := [maps:merge(Slice, maps:from_list([{windows, Of} || Of <- Seen])) | Slices],
                  counts := Sum}}.

%% @doc What it records into.
-spec recorders(loop()) -> recorders(router_bench_nif:recorder()).
recorders(#{recorders := Recorders}) -> Recorders.

%% @doc Ends the dispatcher; what all slices together measured.
-spec close(loop()) -> {ok, result()} | {error, term()}.
close(#{dispatch := Dispatch, tally := Tally, recorders := Recorders, slices := Latest,
        counts := Counts}) ->
    _ = [router_bench_dispatcher:stop(Dispatcher) || {_, Dispatcher} <- [Dispatch]],
    Snapshots = maps:map(fun(_, Recorder) -> router_bench_nif:recorder_snapshot(Recorder) end,
                         Recorders),
    #{response_time := #{count := Ok}} = Snapshots,
    #{offered := Offered, skipped := Skipped, in_flight := Abandoned} = Counts,
    case router_bench_outcome:accounting(Counts#{sent => Offered - Skipped}, Ok, Skipped,
                                         Abandoned) of
        {ok, Accounting} ->
            #{strays := Strays} = router_bench_outcome:counts(Tally),
            Slices = lists:reverse(Latest),
            {ok, Snapshots#{duration_ns => lists:sum([Ns || #{duration_ns := Ns} <- Slices]),
                            slices => Slices, accounting => Accounting,
                            reasons => router_bench_outcome:reasons(Tally), strays => Strays}};
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc A loop of one slice.
-spec run(router_bench_side:context(), DurationMs :: pos_integer()) ->
          {ok, result()} | {error, term()}.
run(Context, DurationMs) ->
    case slice(open(Context), DurationMs) of
        {ok, _Slice, Loop} -> close(Loop);
        {error, Reason} -> {error, Reason}
    end.

%% @doc The same, seen in windows; `Begins' is told the first intended start as soon as that is known.
-spec run(router_bench_side:context(), DurationMs :: pos_integer(),
          {WindowNs :: pos_integer(), Count :: pos_integer()}, Begins :: fun((router_bench_nif:ns()) -> term())) ->
          {ok, result(), [window()]} | {error, term()}.
run(Context, DurationMs, Windows, Begins) ->
    case slice(open(Context, Windows), DurationMs, Begins) of
        {ok, _Slice, #{slices := [#{windows := Seen}]} = Loop} ->
            case close(Loop) of
                {ok, Result} -> {ok, Result, Seen};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc What somebody who looks on sees of the slices that have ended; nothing before the first.
-spec seen(loop()) -> [router_bench_side:seen()].
seen(#{slices := []}) ->
    [];
seen(#{slices := [#{ok := Ok, duration_ns := LatestNs} | _] = Slices, counts := Counts}) ->
    Sum = fun(Key) -> lists:sum([maps:get(Key, Slice) || Slice <- Slices]) end,
    Percentiles = [{Key, lists:nth((length(Figures) + 1) div 2, Figures)}
                   || Key <- [p50_ns, p95_ns, p99_ns],
                      [_ | _] = Figures <- [lists:sort([Ns || #{Key := Ns} <- Slices])]],
    [maps:merge(maps:from_list(Percentiles),
                (maps:with([error, timeout, rejected, skipped], Counts))#{
                  slices => length(Slices), served => Sum(ok),
                  served_per_second => Ok * 1.0e9 / LatestNs,
                  offered_per_second => maps:get(offered, Counts) * 1.0e9 / Sum(duration_ns)})].
