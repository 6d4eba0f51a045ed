%% @doc The open loop: requests arrive at a fixed rate, whether or not the router keeps up. Gives
%% the latency, from the intended start of each request: a router that stalls is charged for every
%% request that should have been sent meanwhile.
%%
%% A dispatcher ({@link router_bench_dispatcher}) hands each arrival to an idle worker. Only when as
%% many requests are in flight as may be is an arrival skipped, and counted.
-module(router_bench_open_loop).

-export([run/2]).

-export_type([result/0]).

%% `duration_ns' runs from the first intended start to the last answer. `dispatch_lag' is the
%% dispatcher's own lateness while a worker was idle.
-type result() :: #{duration_ns := router_bench_nif:ns(),
                    accounting := router_bench_outcome:accounting(),
                    reasons := [router_bench_outcome:reason()],
                    strays := non_neg_integer(),
                    response_time := router_bench_nif:snapshot(),
                    service_time := router_bench_nif:snapshot(),
                    dispatch_lag := router_bench_nif:snapshot()}.

%% Workers are started and build their first request before the first arrival is intended.
-define(LEAD_NS, 20000000).
%% For the dispatcher to say that it has drained, or given up.
-define(ANSWER_TIMEOUT_MS, 5000).

%% @doc Runs the loop for a time at the plan's rate.
-spec run(router_bench_round:context(), DurationMs :: pos_integer()) ->
          {ok, result()} | {error, term()}.
run(#{plan := Plan} = Context, DurationMs) ->
    #{max_in_flight := MaxInFlight, rate_per_second := Rate, arrivals := Spacing, seed := Seed,
      drain_timeout_ms := DrainMs} = Plan,
    Tally = router_bench_outcome:new(),
    Schedulers = erlang:system_info(schedulers),
    #{response_time := Response, service_time := Service, dispatch_lag := Lag} = Recorders =
        maps:from_list([{Quantity, router_bench_nif:recorder_new(Schedulers)}
                        || Quantity <- [response_time, service_time, dispatch_lag]]),
    Dispatch = router_bench_nif:dispatch_new(MaxInFlight, Response, Service, Lag),
    Dispatcher = router_bench_dispatcher:start_link(Context, Dispatch, Tally, MaxInFlight),
    StartNs = router_bench_nif:now() + ?LEAD_NS,
    Arrivals = max(1, Rate * DurationMs div 1000),
    ok = router_bench_dispatcher:run(Dispatcher, {Spacing, Seed}, StartNs, {Rate, Arrivals}, DrainMs),
    case await(Dispatcher, patience_ms(Plan, DurationMs)) of
        {ok, EndNs, Stack} ->
            result(EndNs - StartNs, Tally, Recorders, router_bench_nif:dispatch_counts(Dispatch),
                   Stack);
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
%% first ends the phase. A worker that dies takes the dispatcher along.
await(Dispatcher, TimeoutMs) ->
    receive
        {Dispatcher, Ended, EndNs} ->
            router_bench_dispatcher:stop(Dispatcher),
            Stack = case Ended of
                        finished -> [];
                        {abandoned, At} -> At
                    end,
            {ok, EndNs, Stack};
        {'EXIT', Dispatcher, Reason} ->
            {error, {worker_died, Reason}};
        {'DOWN', _Monitor, process, {Name, _Node}, Reason} ->
            router_bench_dispatcher:stop(Dispatcher),
            {error, {router_died, Name, Reason}}
    after TimeoutMs ->
            router_bench_dispatcher:stop(Dispatcher),
            {error, {no_answer, dispatcher}}
    end.

result(DurationNs, Tally, Recorders, Dispatched, Stack) ->
    #{offered := Offered, skipped := Skipped, in_flight := Abandoned} = Dispatched,
    Snapshots = maps:map(fun(_, Recorder) -> router_bench_nif:recorder_snapshot(Recorder) end,
                         Recorders),
    #{response_time := #{count := Ok}} = Snapshots,
    ok = router_bench_outcome:abandoned(Tally, {Abandoned, Stack}),
    Counts = Dispatched#{sent => Offered - Skipped},
    case router_bench_outcome:accounting(Counts, Ok, Skipped, Abandoned) of
        {ok, Accounting} ->
            #{strays := Strays} = router_bench_outcome:counts(Tally),
            {ok, Snapshots#{duration_ns => max(1, DurationNs), accounting => Accounting,
                            reasons => router_bench_outcome:reasons(Tally), strays => Strays}};
        {error, Reason} ->
            {error, Reason}
    end.
