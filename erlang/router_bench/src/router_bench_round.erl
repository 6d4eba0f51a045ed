%% @doc One round, inside the BEAM that holds the router: load it, warm it up, measure, stop it.
-module(router_bench_round).

-export([run/1]).

-export_type([context/0, result/0]).

-type context() :: #{plan := router_bench_plan:plan(), adapter := module(),
                     state := router_bench_adapter:state()}.
-type result() :: #{throughput := router_bench_closed_loop:result(),
                    latency := router_bench_open_loop:result(),
                    samples := [router_bench_sampler:sample()],
                    counters_start := router_bench_adapter:counters(),
                    counters_end := router_bench_adapter:counters(),
                    env := router_bench_env:vm(),
                    clock := router_bench_env:clock()}.

%% @doc Runs a round in a process of its own, so that nothing of it is left with the caller.
-spec run(router_bench_plan:plan()) -> {ok, result()} | {error, Reason :: term()}.
run(Plan) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> Caller ! {self(), lifecycle(Plan)} end),
    receive
        {Pid, Result} ->
            erlang:demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, Pid, Reason} ->
            {error, {round_died, Reason}}
    end.

lifecycle(#{adapter := Adapter} = Plan) ->
    process_flag(trap_exit, true),
    try Adapter:init(adapter_options(Plan)) of
        {ok, State} ->
            Context = #{plan => Plan, adapter => Adapter, state => State},
            try measured(Context)
            after Adapter:terminate(State)
            end;
        {error, Reason} ->
            {error, {adapter_failed, init, Reason}};
        Other ->
            {error, {bad_return, {Adapter, init, 1}, Other}}
    catch
        Class:Reason:Stack -> {error, {adapter_failed, Class, Reason, Stack}}
    end.

adapter_options(#{fault := none, adapter_options := Options}) -> Options;
adapter_options(#{fault := Fault, adapter_options := Options}) -> Options#{fault => Fault}.

measured(#{plan := Plan} = Context) ->
    #{warmup_ms := WarmupMs, throughput_ms := ThroughputMs, latency_ms := LatencyMs} = Plan,
    watch_router(Context),
    Half = max(1, WarmupMs div 2),
    first_error(Context,
                [fun(C) -> kept(C, ignored, router_bench_closed_loop:run(C, Half)) end,
                 fun(C) -> kept(C, ignored, router_bench_open_loop:run(C, Half)) end,
                 fun(C) -> kept(C, counters_start, counters(C)) end,
                 fun(C) -> {ok, C#{sampler => start_sampler(C)}} end,
                 fun(C) -> kept(C, throughput, router_bench_closed_loop:run(C, ThroughputMs)) end,
                 fun(C) -> kept(C, latency, router_bench_open_loop:run(C, LatencyMs)) end,
                 fun(#{sampler := Sampler} = C) ->
                         {ok, C#{samples => router_bench_sampler:stop(Sampler)}}
                 end,
                 fun(C) -> kept(C, counters_end, counters(C)) end]).

first_error(Context, []) ->
    {ok, (maps:with([throughput, latency, samples, counters_start, counters_end], Context))#{
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
    Counters = Adapter:counters(State),
    Known = [errors_total, backpressure_active_total],
    IsCount = fun(_, Value) -> is_integer(Value) andalso Value >= 0 end,
    case is_map(Counters) andalso maps:with(Known, Counters) of
        #{} = Counted ->
            case maps:filter(IsCount, Counted) of
                Counted -> {ok, Counted};
                _ -> {error, {bad_return, {Adapter, counters, 1}, Counters}}
            end;
        false ->
            {error, {bad_return, {Adapter, counters, 1}, Counters}}
    end.
