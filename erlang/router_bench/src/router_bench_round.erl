%% @doc One round, inside the BEAM that holds the router: load it, warm it up, measure, stop it.
-module(router_bench_round).

-export([run/1]).

-export_type([context/0, result/0]).

-type context() :: #{plan := router_bench_plan:plan(), adapter := module(),
                     state := router_bench_adapter:state()}.
-type result() :: #{warmup := router_bench_warmup:result(),
                    throughput := router_bench_closed_loop:result(),
                    latency := router_bench_open_loop:result(),
                    samples := router_bench_sampler:samples(),
                    evidence := router_bench_evidence:evidence(),
                    counters_start := router_bench_adapter:counters(),
                    counters_end := router_bench_adapter:counters(),
                    env := router_bench_env:vm(),
                    clock := router_bench_env:clock()}.

%% @doc Runs a round; nothing of it is left with the caller.
-spec run(router_bench_plan:plan()) -> {ok, result()} | {error, Reason :: term()}.
run(#{adapter := Adapter} = Plan) ->
    router_bench_router:with(Plan, fun(State) ->
        measured(#{plan => Plan, adapter => Adapter, state => State})
    end).

measured(#{plan := Plan} = Context) ->
    #{throughput_ms := ThroughputMs, latency_ms := LatencyMs} = Plan,
    watch_router(Context),
    first_error(Context,
                [fun(C) -> kept(C, warmup, router_bench_warmup:run(C)) end,
                 fun(C) -> {ok, C#{watching => router_bench_evidence:start()}} end,
                 fun(C) -> kept(C, counters_start, counters(C)) end,
                 fun(C) -> {ok, C#{sampler => start_sampler(C)}} end,
                 fun(C) -> kept(C, throughput, router_bench_closed_loop:run(C, ThroughputMs)) end,
                 fun(#{sampler := Sampler} = C) ->
                         ok = router_bench_sampler:watch_collections(Sampler),
                         {ok, C}
                 end,
                 fun(C) -> kept(C, latency, router_bench_open_loop:run(C, LatencyMs)) end,
                 fun(#{sampler := Sampler} = C) ->
                         {ok, C#{samples => router_bench_sampler:stop(Sampler)}}
                 end,
                 fun(C) -> kept(C, counters_end, counters(C)) end,
                 fun(#{watching := Watching} = C) ->
                         {ok, C#{evidence => router_bench_evidence:stop(Watching)}}
                 end]).

first_error(Context, []) ->
    Measured = maps:with([warmup, throughput, latency, samples, counters_start, counters_end, evidence],
                         Context),
    {ok, Measured#{
           env => router_bench_env:vm(), clock => router_bench_env:clock()}};
first_error(Context, [Step | Rest]) ->
    case Step(Context) of
        {ok, Next} -> first_error(Next, Rest);
        {error, Reason} -> {error, Reason}
    end.

kept(Context, Key, {ok, Value}) -> {ok, Context#{Key => Value}};
kept(_Context, _Key, {error, Reason}) -> {error, Reason}.

watch_router(#{adapter := Adapter, state := State}) ->
    case erlang:function_exported(Adapter, processes, 1) of
        true -> lists:foreach(fun(Name) -> monitor(process, Name) end, Adapter:processes(State));
        false -> ok
    end.

start_sampler(#{plan := #{sample_interval_ms := IntervalMs}, adapter := Adapter, state := State}) ->
    router_bench_sampler:start_link(Adapter, State, IntervalMs).

counters(#{adapter := Adapter, state := State}) ->
    router_bench_router:counters(Adapter, State).
