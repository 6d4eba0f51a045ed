%% @doc The open loop: requests arrive at a fixed rate, whether or not the router keeps up. Gives
%% the latency, from the intended start of each request: a router that stalls is charged for every
%% request that should have been sent meanwhile.
-module(router_bench_open_loop).

-export([run/2]).

-export_type([result/0]).

%% `duration_ns' runs from the first intended start to the last answer.
-type result() :: #{duration_ns := router_bench_nif:ns(),
                    accounting := router_bench_outcome:accounting(),
                    response_time := router_bench_nif:snapshot(),
                    service_time := router_bench_nif:snapshot(),
                    send_lag := router_bench_nif:snapshot(),
                    announce_lag := router_bench_nif:snapshot()}.

%% Workers are started and build their first request before the first arrival is intended.
-define(LEAD_NS, 20000000).

%% @doc Runs the loop for a time at the plan's rate.
-spec run(router_bench_round:context(), DurationMs :: pos_integer()) ->
          {ok, result()} | {error, term()}.
run(#{plan := Plan} = Context, DurationMs) ->
    #{latency_workers := Workers, max_in_flight := MaxInFlight, rate_per_second := Rate,
      arrivals := Spacing, seed := Seed} = Plan,
    Tally = router_bench_outcome:new(),
    InFlight = router_bench_nif:in_flight_new(Workers),
    Schedulers = erlang:system_info(schedulers),
    Recorders = #{response_time => router_bench_nif:recorder_new(Schedulers),
                  service_time => router_bench_nif:recorder_new(Schedulers),
                  send_lag => router_bench_nif:recorder_new(Schedulers),
                  announce_lag => router_bench_nif:recorder_new(0)},
    Owner = self(),
    Crew = router_bench_crew:start(Workers, fun(Number) ->
        Mine = receive {place, Place} -> Place end,
        LastNs = loop(Context, Tally, Recorders, InFlight, Mine, Number, Workers, 0),
        Owner ! {done, self(), LastNs}
    end),
    Pids = router_bench_crew:pids(Crew),
    lists:foreach(fun({Pid, Place}) -> Pid ! {place, Place} end,
                  lists:zip(Pids, lists:seq(0, Workers - 1))),
    StartNs = router_bench_nif:now() + ?LEAD_NS,
    Arrivals = max(1, Rate * DurationMs div 1000),
    #{announce_lag := AnnounceLag} = Recorders,
    Pacer = router_bench_nif:pacer_start(InFlight, AnnounceLag, Pids, {Spacing, Seed, StartNs, Rate},
                                         Arrivals, MaxInFlight div Workers),
    case drive(Context, Crew, Pacer, DurationMs) of
        {ok, LastNs} -> result(StartNs, LastNs, Tally, Recorders, InFlight, Pacer);
        {error, Reason} -> {error, Reason}
    end.

drive(#{plan := #{drain_timeout_ms := DrainMs} = Plan}, Crew, Pacer, DurationMs) ->
    case router_bench_crew:await(Crew, pacer_finished, patience_ms(Plan, DurationMs)) of
        ok ->
            router_bench_crew:tell(Crew, finish),
            case router_bench_crew:gather(Crew, done, DrainMs) of
                {ok, LastNs, _Abandoned} -> {ok, LastNs};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            ok = router_bench_nif:pacer_stop(Pacer),
            router_bench_crew:disband(Crew),
            {error, Reason}
    end.

%% Poisson arrivals take a random time: their count is fixed, and its standard deviation below a
%% tenth of the mean from 100 arrivals on.
patience_ms(#{arrivals := constant, drain_timeout_ms := DrainMs}, DurationMs) -> DurationMs + DrainMs;
patience_ms(#{arrivals := poisson, drain_timeout_ms := DrainMs}, DurationMs) ->
    2 * DurationMs + DrainMs.

%% Builds the next request before its arrival. `finish' was sent after the last arrival, and
%% arrivals are taken first.
loop(#{adapter := Adapter, state := State} = Context, Tally, Recorders, InFlight, Mine, N, Step,
     LastNs) ->
    Request = Adapter:request(N, State),
    receive
        IntendedNs when is_integer(IntendedNs) ->
            StartNs = router_bench_nif:start(),
            Outcome = router_bench_outcome:route(Adapter, Request, State),
            AnswerNs = record(Outcome, Tally, Recorders, StartNs, IntendedNs),
            _ = router_bench_nif:leave(InFlight, Mine),
            loop(Context, Tally, Recorders, InFlight, Mine, N + Step, Step, AnswerNs);
        finish ->
            LastNs
    end.

record(ok, _Tally, Recorders, StartNs, IntendedNs) ->
    #{response_time := Response, service_time := Service, send_lag := Lag} = Recorders,
    AnswerNs = StartNs + router_bench_nif:stop(Service, StartNs),
    _ = router_bench_nif:record(Response, max(0, AnswerNs - IntendedNs)),
    _ = router_bench_nif:record(Lag, max(0, StartNs - IntendedNs)),
    AnswerNs;
record(NotOk, Tally, #{send_lag := Lag}, StartNs, IntendedNs) ->
    router_bench_outcome:not_ok(Tally, NotOk),
    _ = router_bench_nif:record(Lag, max(0, StartNs - IntendedNs)),
    router_bench_nif:now().

result(StartNs, LastNs, Tally, Recorders, InFlight, Pacer) ->
    #{offered := Offered, skipped := Skipped} = router_bench_nif:pacer_counts(Pacer),
    Snapshots = maps:map(fun(_, Recorder) -> router_bench_nif:recorder_snapshot(Recorder) end,
                         Recorders),
    #{response_time := #{count := Ok}} = Snapshots,
    % The pacer counts what it announced: a request may wait with a worker that was killed.
    Counts = (router_bench_outcome:counts(Tally))#{sent := Offered - Skipped},
    Abandoned = router_bench_nif:in_flight_total(InFlight),
    case router_bench_outcome:accounting(Counts, Ok, Skipped, Abandoned) of
        {ok, Accounting} ->
            EndNs = lists:max([StartNs + 1 | LastNs]),
            {ok, Snapshots#{duration_ns => EndNs - StartNs, accounting => Accounting}};
        {error, Reason} ->
            {error, Reason}
    end.
