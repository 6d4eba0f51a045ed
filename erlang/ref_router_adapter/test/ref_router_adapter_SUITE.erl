%% @doc The reference router seen through its adapter.
-module(ref_router_adapter_SUITE).

-export([all/0, suite/0, backpressure_of_the_router_shows_as_time_and_as_an_edge/1,
         every_process_that_is_watched_is_there/1,
         requests_of_a_number_are_always_the_same/1, a_router_that_is_watched_is_asked_nothing/1,
         a_router_that_was_gone_comes_back/1]).

suite() -> [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

with_router(Test) ->
    {ok, Plan} = router_bench_plan:new(#{adapter => ref_router_adapter}),
    {ok, done} = router_bench_router:with(Plan, fun(State) -> Test(State), {ok, done} end).

backpressure_of_the_router_shows_as_time_and_as_an_edge(_Config) ->
    with_router(fun(State) ->
        #{intake := #{high_watermark := High}} = ref_router_config:defaults(),
        Sampler = router_bench_sampler:start_link(ref_router_adapter, State, 10),
        ok = router_bench_sampler:resume(Sampler),
        Held = ref_router_intake:hold(High),
        timer:sleep(100),
        ref_router_intake:release(Held),
        timer:sleep(100),
        ok = router_bench_sampler:pause(Sampler),
        Samples = router_bench_sampler:stop(Sampler),
        #{series := Series} = Samples,
        [Active, Edges] = [[Value || #{name := Of, points := Points} <- Series, Of =:= Name,
                                     {_Ms, Value} <- Points]
                           || Name <- [backpressure_active, backpressure_active_total]],
        % The first sample may come before the callers and the last after them.
        [0, 1] = lists:usort(Active),
        1 = lists:last(Edges) - hd(Edges),
        #{backpressure_active_ms := Ms} =
            router_bench_vm:figures(Samples, 1),
        true = Ms > 0
    end).

every_process_that_is_watched_is_there(_Config) ->
    with_router(fun(State) ->
        [true = is_pid(whereis(Name)) || Name <- ref_router_adapter:processes(State)]
    end).

requests_of_a_number_are_always_the_same(_Config) ->
    with_router(fun(State) ->
        Requests = fun() -> [ref_router_adapter:request(N, State) || N <- lists:seq(0, 999)] end,
        First = Requests(),
        First = Requests()
    end).

%% Who watches has no keys, and leaves the router as it was.
a_router_that_is_watched_is_asked_nothing(_Config) ->
    {ok, _} = application:ensure_all_started(ref_router),
    {ok, State} = ref_router_adapter:init(#{attached => true}),
    #{errors_total := _} = ref_router_adapter:counters(State),
    ok = ref_router_adapter:detach(State),
    true = is_pid(whereis(ref_router_sup)),
    ok = application:stop(ref_router).

%% Nothing is an error: what comes in an outage waits, until there is no more room for it.
a_router_that_was_gone_comes_back(_Config) ->
    {ok, #{metrics := Metrics, blocks := [Block]}} =
        router_bench:run(#{adapter => ref_router_adapter, blocks => 1, warmup_ms => 100, throughput_ms => 200,
                           latency_ms => 1000, rate_per_second => 4000, concurrency => 4, outage_ms => 500,
                           max_in_flight => 200, outage_tolerance_pct => 1000000, quiet => true}),
    #{errors_total := 0, backpressure_active_total := 0, requests_lost := Lost} = Metrics,
    #{accounting := #{latency := #{error := 0, timeout := 0, rejected := 0},
                      recovery := #{offered := Offered, ok := Ok, error := 0, timeout := 0, rejected := 0,
                                    skipped := Skipped}}} = Block,
    Offered = Ok + Skipped,
    true = Lost == Skipped,
    % 2,000 arrive in it, and 200 may wait.
    true = Skipped > 0.
