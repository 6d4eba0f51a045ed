%% @doc The closed loop: each worker sends its next request when the last is answered. Gives the
%% sustained throughput.
-module(router_bench_closed_loop).

-export([run/2]).

-export_type([result/0]).

%% `duration_ns' runs from the release of the workers to the last answer.
-type result() :: #{duration_ns := router_bench_nif:ns(),
                    accounting := router_bench_outcome:accounting(),
                    reasons := [router_bench_outcome:reason()],
                    strays := non_neg_integer(),
                    service_time := router_bench_nif:snapshot()}.

%% @doc Runs the loop for a time with the plan's number of workers.
-spec run(router_bench_round:context(), DurationMs :: pos_integer()) ->
          {ok, result()} | {error, term()}.
run(#{plan := Plan} = Context, DurationMs) ->
    #{concurrency := Workers, drain_timeout_ms := DrainMs} = Plan,
    Tally = router_bench_outcome:new(),
    Recorder = router_bench_nif:recorder_new(erlang:system_info(schedulers)),
    Owner = self(),
    Crew = router_bench_crew:start(Workers, fun(Number) ->
        EndNs = receive {run_until, Ns} -> Ns end,
        LastNs = loop(Context, Tally, Recorder, EndNs, Number, Workers, 0),
        Owner ! {done, self(), LastNs}
    end),
    StartNs = router_bench_nif:now(),
    router_bench_crew:tell(Crew, {run_until, StartNs + DurationMs * 1000000}),
    case router_bench_crew:gather(Crew, done, DurationMs + DrainMs) of
        {ok, LastNs, Abandoned} -> result(StartNs, LastNs, Tally, Recorder, Abandoned);
        {error, Reason} -> {error, Reason}
    end.

%% The clock reading that starts a request also tells when to end: nothing is read twice. What the
%% loop does besides the request is the same for every router.
loop(#{adapter := Adapter, state := State} = Context, Tally, Recorder, EndNs, N, Step, LastNs) ->
    Request = Adapter:request(N, State),
    case router_bench_nif:start() of
        Now when Now >= EndNs ->
            drain(Tally),
            LastNs;
        StartNs ->
            router_bench_outcome:sent(Tally),
            AnswerNs = case router_bench_outcome:route(Adapter, Request, State) of
                           ok ->
                               StartNs + router_bench_nif:stop(Recorder, StartNs);
                           NotOk ->
                               NotOkNs = router_bench_nif:now(),
                               ok = router_bench_outcome:count(Tally, NotOk),
                               drain(Tally),
                               NotOkNs
                       end,
            loop(Context, Tally, Recorder, EndNs, N + Step, Step, AnswerNs)
    end.

%% A request that failed may be answered late: into the mailbox of a worker that does not read it.
drain(Tally) ->
    receive
        _Stray ->
            router_bench_outcome:stray(Tally),
            drain(Tally)
    after 0 -> ok
    end.

result(StartNs, LastNs, Tally, Recorder, {Requests, _} = Abandoned) ->
    #{count := Ok} = Service = router_bench_nif:recorder_snapshot(Recorder),
    #{strays := Strays} = Counts = router_bench_outcome:counts(Tally),
    ok = router_bench_outcome:abandoned(Tally, Abandoned),
    case router_bench_outcome:accounting(Counts, Ok, 0, Requests) of
        {ok, Accounting} ->
            EndNs = lists:max([StartNs + 1 | LastNs]),
            {ok, #{duration_ns => EndNs - StartNs, accounting => Accounting,
                   reasons => router_bench_outcome:reasons(Tally), strays => Strays,
                   service_time => Service}};
        {error, Reason} ->
            {error, Reason}
    end.
